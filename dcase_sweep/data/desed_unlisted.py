"""Clips of DESED on disk that a table of labels does not name: it may be cut off, or that of another set."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from dcase_sweep.data.desed_folders import Place, is_recording
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)


def report_unlabelled(place: Place, labelled: Collection[str], found: Mapping[str, str]) -> None:
    """Warn of clips that only the table of durations names, because they count as clips without events.

    Args:
        place: the subset.
        labelled: names of the clips in the table of labels.
        found: path under the root of each clip on disk, by its name.
    """
    missing = [name for name in found if name not in labelled]
    if missing and place.durations is not None:
        log.warning(
            f"data      {len(missing):,} of {len(found):,} clips of {place.durations.name} have no row in "
            f"{place.table.name}; they count as clips without events: {_first(missing)}"
        )


def report_unlisted(place: Place, found: Mapping[str, str]) -> None:
    """Warn of recordings in the folder of a subset that are in none of its tables, because they are not used.

    Args:
        place: the subset.
        found: path under the root of each clip on disk, by its name; all are in one folder.
    """
    paths = [PurePosixPath(path) for path in found.values()]
    folder = str(paths[0].parent)
    used = {path.name for path in paths}
    unused = sorted(name for name in place.folders[folder] - used if is_recording(name))
    if unused:
        count = pluralize(len(unused), "recording")
        log.warning(f"data      {count} in {folder} without a row in {place.table.name}, not used: {_first(unused)}")


def _first(names: Sequence[str]) -> str:
    return printable(names[0]) + (", ..." if len(names) > 1 else "")
