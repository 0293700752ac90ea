"""File names that give scene, place and device, as in TAU: airport-barcelona-203-6129-s1.wav."""

from collections.abc import Collection
from pathlib import PurePosixPath

from dcase_sweep.utils.tables import Table

#: Scene, city, location, segment and device; TAU 2022 has the second within the segment too.
_PARTS = 5


def check_recording_names(table: Table, *, devices: Collection[str] = ()) -> list[str]:
    """Describe each row whose scene, place or device is not that of its file name, as after sorting one column alone.

    Names of other data sets have dashes too. A name counts only if all that it gives occurs in the table.

    Args:
        table: a table with the columns filename and scene_label, perhaps identifier and source_label.
        devices: the known devices, where the table has no column of them.
    """
    columns = [name for name in ("scene_label", "identifier", "source_label") if name in table.columns]
    known = {name: {_fold(name, value) for value in table.columns[name]} for name in columns}
    known.setdefault("source_label", set(devices))
    problems = []
    for row, filename in enumerate(table.columns["filename"]):
        named = _split(filename)
        if not named or any(named[name] not in values for name, values in known.items()):
            continue
        for name in columns:
            if _fold(name, table.columns[name][row]) != named[name]:
                problems.append(
                    f"{table.where(row)}: {name} {table.columns[name][row]!r}, but the file name says {named[name]!r} "
                    f"({filename}); expected the same"
                )
    return problems


def _split(filename: str) -> dict[str, str]:
    """Return what a file name gives; nothing if it has too few parts."""
    parts = PurePosixPath(filename).stem.split("-")
    if len(parts) < _PARTS:
        return {}
    return {"scene_label": parts[0], "identifier": f"{parts[1]}-{parts[2]}", "source_label": parts[-1].lower()}


def _fold(column: str, value: str) -> str:
    """Return a device in small letters: tables of results have `S1` where file names have `s1`."""
    return value.lower() if column == "source_label" else value
