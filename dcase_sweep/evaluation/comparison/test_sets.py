"""Test sets: results on other test clips, or on the same clips with other labels, are not compared."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dcase_sweep.utils.console import pluralize

if TYPE_CHECKING:
    from dcase_sweep.evaluation.comparison.systems import ComparedRun, System

#: A hash of recordings, labels, splits and features: runs that share it have the same test clips.
_FINGERPRINT = "data.fingerprint"


def separate_test_sets(systems: "Sequence[System]") -> "list[System]":
    """Add the test set to the rule of each system, where the systems of one rule and data set have several.

    Systems whose clips are not known, as those of early versions, are taken to have those of the first one.
    """
    found = list(systems)
    for group in dict.fromkeys((system.rule, system.data) for system in systems):
        places = [place for place, system in enumerate(systems) if (system.rule, system.data) == group]
        sets = _read_test_sets([systems[place].runs[0] for place in places])
        numbers = {clips: number for number, clips in enumerate(dict.fromkeys(filter(None, sets)), start=1)}
        if len(numbers) < 2:
            continue
        first = next(iter(numbers))
        for place, clips in zip(places, sets, strict=True):
            of_system = clips or first
            test_set = f"test set {numbers[of_system]} ({pluralize(len(of_system), 'clip')})"
            found[place] = replace(systems[place], rule=f"{group[0]}; {test_set}")
    return found


def _read_test_sets(runs: "Sequence[ComparedRun]") -> list[tuple[str, ...] | None]:
    """Return the names of the test clips of each run; None if not known. One run of each fingerprint is read."""
    keys = [run.parameters.get(_FINGERPRINT, run.id) for run in runs]
    if len(set(keys)) < 2:
        return [None] * len(runs)
    known: dict[str, tuple[str, ...] | None] = {}
    for key, run in zip(keys, runs, strict=True):
        if known.get(key) is None:
            loaded = None if run.load_statistics is None else run.load_statistics()
            known[key] = None if loaded is None else loaded[0]
    return [known[key] for key in keys]
