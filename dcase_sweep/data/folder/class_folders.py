"""Labels of recordings from the names of their folders."""

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from dcase_sweep.data.folder.files import AudioFiles
from dcase_sweep.data.folder.splits import parse_split
from dcase_sweep.data.folder.tables import ClipLabels, ClipRow, describe_tables
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.lookalikes import find_lookalikes, strip_blanks
from dcase_sweep.utils.text import printable

#: Number of folders in a message.
_SHOWN = 2


def read_folders(root: Path, audio: AudioFiles, problems: list[str]) -> ClipLabels:
    """Return labels from the names of folders, as in ``root/CLASS/any.wav`` or ``root/train/CLASS/any.wav``.

    Folders that contain only one folder, such as ``root/audio/``, are ignored.
    """
    paths = [tuple(name.split("/")) for name in audio.names]
    depth = 0
    while all(len(path) > depth + 2 for path in paths) and len({path[depth] for path in paths}) == 1:
        depth += 1
    tops = {path[depth] for path in paths if len(path) > depth + 1}
    is_split = bool(tops) and all(parse_split(name) for name in tops)
    level = depth + is_split
    problems += _check_tops(root, tops)
    rows, outside = [], list[str]()
    for name, path in zip(audio.names, paths, strict=True):
        if len(path) <= level + 1:
            outside.append(
                f"{printable(root / name)}: in no folder of a class; expected .../CLASS/{printable(path[-1])}, or "
                "data.table=TABLE with its label"
            )
            continue
        split = parse_split(path[depth]) if is_split else None
        rows.append(ClipRow(name, strip_blanks(path[level]), printable(root / name), split or ""))
    problems += outside if rows else [_no_labels(root, audio)]
    problems += [f"{root}: folders {pair}; expected one spelling" for pair in find_lookalikes({r.label for r in rows})]
    shown = "/".join([*([""] if not depth else paths[0][:depth]), *(["SPLIT"] if is_split else []), "CLASS"]).lstrip(
        "/"
    )
    unused = "" if is_split else _describe_inner_splits(paths, level)
    return ClipLabels(tuple(rows), str(root), f"a folder for each class: {shown}/{unused}")


def _describe_inner_splits(paths: Sequence[Sequence[str]], level: int) -> str:
    """Describe folders of splits within those of the classes, which are not used; empty if there are none."""
    inner = sorted({path[level + 1] for path in paths if len(path) > level + 2 and parse_split(path[level + 1])})
    if len({parse_split(name) for name in inner}) < 2:
        return ""
    return f" ({', '.join(inner)} within them are not used; splits are folders above the classes)"


def _check_tops(root: Path, tops: Collection[str]) -> list[str]:
    """Refuse folders of several splits beside other folders, because it is open which of them are classes."""
    splits = sorted(name for name in tops if parse_split(name))
    others = sorted(set(tops) - set(splits))
    if not others or len({parse_split(name) for name in splits}) < 2:
        return []
    shown = printable(", ".join(others[:_SHOWN])) + (", ..." if len(others) > _SHOWN else "")
    return [
        f"{root}: the folders {', '.join(splits)} name splits, but {shown} {'names' if len(others) == 1 else 'name'} "
        "none; expected only splits or only classes; move the others, or name the labels in a table"
    ]


def _no_labels(root: Path, audio: AudioFiles) -> str:
    count = pluralize(len(audio.names), "recording")
    return (
        f"{root}: {count} in no folder of a class, and no table with names and labels{describe_tables(root)}; expected "
        f"CLASS/{printable(PurePosixPath(audio.names[0]).name)}, or a table with filename and label"
    )
