"""Durations of DESED's clips: those of the tables, compared with the recordings, and those of the recordings."""

from collections.abc import Mapping
from pathlib import Path

from dcase_sweep.audio.reading import AudioProblem, inspect_audio
from dcase_sweep.data.desed_folders import Place
from dcase_sweep.data.desed_tables import first_rows

#: How many of the shortest and of the longest clips of a table are compared. A wrong unit is in every row, and a wrong
#: row is at one of the ends, so that the headers of thousands of files need not be read.
_COMPARED = 4
#: Durations of a table and a recording that differ by a larger factor are not of the same clip, or not both in seconds.
_FACTOR = 5


def complete_durations(root: Path, durations: dict[str, float], found: Mapping[str, str]) -> None:
    """Add durations (s) that no table gives, from the headers; the check of files reports those that cannot be read.

    Args:
        root: folder of the data set.
        durations: duration of each clip by its name.
        found: path under the root of each clip on disk, by its name.
    """
    for name, filename in found.items():
        if name not in durations:
            seconds = _seconds(root / filename)
            if seconds is not None:
                durations[name] = seconds


def check_durations(place: Place, durations: Mapping[str, float], found: Mapping[str, str]) -> list[str]:
    """Describe durations of a table, such as milliseconds, that contradict the recordings.

    PSDS counts false alarms for each hour, so that wrong durations change it.

    Args:
        place: the subset.
        durations: duration (s) of each clip in the subset's table, by its name.
        found: path under the root of each clip on disk, by its name.
    """
    if place.durations is None:
        return []
    ordered = sorted((name for name in found if name in durations), key=lambda name: durations[name])
    wrong = {}
    for name in dict.fromkeys([*ordered[:_COMPARED], *ordered[-_COMPARED:]]):
        seconds = _seconds(place.root / found[name])
        if seconds and not 1 / _FACTOR <= durations[name] / seconds <= _FACTOR:
            wrong[name] = seconds
    rows = first_rows(place.durations, wrong) if wrong else {}
    return [
        f"{place.durations}, row {rows[name]}: {name} lasts {durations[name]:g} s here and {seconds:g} s on disk; "
        "expected seconds, and the duration of the recording"
        for name, seconds in wrong.items()
    ]


def _seconds(path: Path) -> float | None:
    """Return the duration of a recording; None if it cannot be read."""
    try:
        info = inspect_audio(path)
    except AudioProblem:
        return None
    return info.frames / info.sample_rate
