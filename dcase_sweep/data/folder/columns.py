"""Selection of the columns of a table."""

import re
from collections.abc import Mapping, Sequence

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable, suggest

Aliases = Mapping[str, Sequence[str]]

#: Common names of columns in public data sets, in lower case. The first one in a table is used.
_FILENAME = (
    *("filename", "file_name", "file", "path", "filepath", "file_path", "fname", "slice_file_name"),
    *("audio_filename", "wav", "audio"),
)
CLIP_ALIASES: Aliases = {
    "filename": _FILENAME,
    "label": ("label", "scene_label", "class", "category", "class_name", "class_label", "label_name", "target"),
    "split": ("split", "subset", "set", "partition"),
    "group": ("group", "location", "identifier", "session", "speaker", "fsid", "src_file", "source_file"),
    "device": ("device", "source_label", "microphone", "recorder"),
    "fold": ("fold", "cv_fold"),
}
EVENT_ALIASES: Aliases = {
    "filename": _FILENAME,
    "onset": ("onset", "event_onset", "onset_s"),
    "offset": ("offset", "event_offset", "offset_s"),
    "event_label": ("event_label", "label", "class", "event"),
    "event_labels": ("event_labels", "labels", "tags", "event_label"),
    "split": CLIP_ALIASES["split"],
    "group": CLIP_ALIASES["group"],
    "fold": CLIP_ALIASES["fold"],
}


def check_names(named: Mapping[str, str | bool | None], aliases: Aliases) -> dict[str, str | None]:
    """Return the columns that the user specifies in ``data.columns``; None for a column that is not to be used.

    Raises:
        UserError: for an unknown key, or a value that is not a name.
    """
    chosen: dict[str, str | None] = {}
    for key, value in named.items():
        if key not in aliases:
            hint = suggest(key, aliases, prefix="data.columns.", otherwise=f"expected one of {', '.join(aliases)}")
            raise UserError(f"data.columns.{key}: no such key; {hint}")
        if value is None:
            continue
        if value is True:
            raise UserError(f"data.columns.{key}=true: expected the name of a column, false to use none, or null")
        chosen[key] = None if value is False else str(value)
    return chosen


def choose_columns(
    header: Sequence[str], named: Mapping[str, str | None], aliases: Aliases, where: str
) -> dict[str, str]:
    """Return the column of a table for each use for which it has one.

    Args:
        header: the columns of the table.
        named: the result of `check_names`.
        aliases: use → names of columns.
        where: the path of the table, for messages.

    Raises:
        UserError: if a column that the user names is not in the table.
    """
    by_key = {_key(column): column for column in reversed(header) if column}
    chosen = {}
    for use, names in aliases.items():
        if use in named:
            column = named[use]
            if column is not None and column not in header:
                found = ", ".join(filter(None, header))
                raise UserError(
                    f"data.columns.{use}={printable(column, 80)}: {where} has no such column; expected one of "
                    f"{printable(found)}"
                )
            if column is not None:
                chosen[use] = column
            continue
        column = next((by_key[name] for name in names if name in by_key), None)
        if column is not None:
            chosen[use] = column
    return chosen


def describe_columns(chosen: Mapping[str, str]) -> str:
    """Format uses and columns: ``filename, label = category``."""
    return ", ".join(use if column == use else f"{use} = {printable(column, 40)}" for use, column in chosen.items())


def _key(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())
