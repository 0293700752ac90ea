"""Test sets: results on other test clips, or on the same clips with other labels, are not compared."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dcase_sweep.utils.console import pluralize

if TYPE_CHECKING:
    from dcase_sweep.evaluation.comparison.systems import ComparedRun, System

#: A hash of recordings, labels, splits and features: runs that share it have the same test clips.
FINGERPRINT = "data.fingerprint"
_ROOT = "data.root"


def separate_test_sets(systems: "Sequence[System]") -> "list[System]":
    """Add the test set to the rule of each system, where the systems of one rule and data set have several.

    Systems whose clips are not known, as those of early versions, are taken to have those of the first one.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for place, system in enumerate(systems):
        groups.setdefault((system.rule, system.data), []).append(place)
    runs = [[systems[place].runs[0] for place in places] for places in groups.values()]
    # One fingerprint is one test set, which is read only if another group has several.
    read = [_read_test_sets(each) if len(set(map(_key_of, each))) > 1 else None for each in runs]
    if all(sets is None or len(_list_known(sets)) < 2 for sets in read):
        return list(systems)
    found = list(systems)
    numbers: dict[tuple[str, tuple[str, ...]], int] = {}
    for ((rule, data), places), each, earlier in zip(groups.items(), runs, read, strict=True):
        sets = earlier or _read_test_sets(each)
        first = next(iter(_list_known(sets)), ())
        for place, clips in zip(places, sets, strict=True):
            number = numbers.setdefault((data, clips or first), len(numbers) + 1)
            test_set = f"test set {number} ({pluralize(len(clips or first), 'clip')})"
            found[place] = replace(systems[place], rule=f"{rule}; {test_set}")
    return found


def _list_known(sets: Sequence[tuple[str, ...] | None]) -> list[tuple[str, ...]]:
    """Return the different test sets that are known, in order of first occurrence."""
    return list(dict.fromkeys(filter(None, sets)))


def _key_of(run: "ComparedRun") -> str:
    return run.parameters.get(FINGERPRINT, run.id)


def _read_test_sets(runs: "Sequence[ComparedRun]") -> list[tuple[str, ...] | None]:
    """Return the names of the test clips of each run; None if not known. One run of each fingerprint is read.

    Args:
        runs: runs with one rule and data set.
    """
    known: dict[str, tuple[str, ...] | None] = {}
    for run in runs:
        if known.get(_key_of(run)) is None:
            loaded = None if run.load_statistics is None else run.load_statistics()
            known[_key_of(run)] = None if loaded is None else loaded[0]
    return [known[_key_of(run)] for run in runs]


def unify_roots(runs: "Sequence[ComparedRun]") -> "list[ComparedRun]":
    """Name the folder of the same data alike: other machines have it elsewhere, and a path may be relative."""
    roots: dict[str, str] = {}
    found = []
    for run in runs:
        root, fingerprint = run.parameters.get(_ROOT), run.parameters.get(FINGERPRINT)
        if root is not None and fingerprint is not None:
            run = replace(run, parameters={**run.parameters, _ROOT: roots.setdefault(fingerprint, root)})
        found.append(run)
    return found
