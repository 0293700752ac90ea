"""The clips of DESED that are in its tables but not on disk. No archive contains those from AudioSet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.data.desed_folders import Place, places
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.tables import read_table

#: Folder in the root for the lists of missing clips, and the beginning of their names: those of the package
#: desed, because the organisers of the task ask for these files.
_FOLDER = "missing_files"
_PREFIX = "missing_files_"


@dataclass(frozen=True, slots=True)
class ListedClips:
    """The clips of one table.

    Attributes:
        subset: the subset of the data set.
        table: path of the table.
        folder: path of the folder for the clips.
        listed: number of clips in the table.
        missing: number of clips that are not on disk.
        report: path of the list of missing clips; None if there are none.
    """

    subset: str
    table: Path
    folder: Path
    listed: int
    missing: int
    report: Path | None


def list_missing(root: Path) -> tuple[ListedClips, ...]:
    """Count the clips of each existing table, and write a list of those that are not on disk.

    Raises:
        UserError: if a table cannot be read.
    """
    return tuple(_list_missing(place) for place in places(root).values() if place.table.is_file())


def _list_missing(place: Place) -> ListedClips:
    table = read_table(place.table, ("filename",), problems=[])
    listed = list(dict.fromkeys(table.columns["filename"]))
    found = place.find(listed)
    missing = [name for name in listed if name not in found]
    report = place.root / _FOLDER / f"{_PREFIX}{_stem(place)}.tsv"
    if missing:
        report.parent.mkdir(exist_ok=True)
        write_text(report, _format(missing, place))
    else:
        report.unlink(missing_ok=True)
    return ListedClips(
        subset=place.subset,
        table=place.table,
        folder=place.root / place.audio,
        listed=len(listed),
        missing=len(missing),
        report=report if missing else None,
    )


def _stem(place: Place) -> str:
    return place.table.stem if "synthetic" not in place.audio else place.table.parent.name


def _format(names: Iterable[str], place: Place) -> str:
    return "filename\terror\n" + "".join(f"{name}\tnot in {place.audio}\n" for name in names)
