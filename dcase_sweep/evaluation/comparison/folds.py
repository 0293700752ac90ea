"""The folds of a cross-validation: runs that differ only in ``data.fold`` are one run in a comparison."""

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace

from dcase_sweep.evaluation.comparison.systems import ComparedRun

#: The key of the folds, and its value in a run of all folds.
FOLD, POOLED = "data.fold", "pooled"
#: A hash of the splits, which are others in each fold.
_SPLITS = "data.fingerprint"

#: Returns a run with the results of the test clips of all folds together; None if their files do not allow it.
Pool = Callable[[Sequence[ComparedRun]], ComparedRun | None]


def pool_folds(
    runs: Sequence[ComparedRun], unfinished: Sequence[ComparedRun], open_sweeps: Collection[str], pool: Pool
) -> list[ComparedRun]:
    """Replace the folds of a cross-validation by one run, as the table of a sweep does.

    They may be of several sweeps, such as one that skips the finished jobs of another. Where a fold was run twice, the
    folds of each sweep belong together. They are left as they are where one has not finished.

    Args:
        runs: finished runs, the oldest first.
        unfinished: other runs with folds.
        open_sweeps: ids of sweeps that may not have started all folds.
        pool: evaluates folds together; the parameters of its result are replaced.
    """
    missing = {(_settings(run), run.parameters[FOLD]) for run in unfinished if _has_fold(run)}
    found = [run for run in runs if not _has_fold(run)]
    for settings, members in _group(runs):
        folds = [run.parameters[FOLD] for run in members]
        is_open = members[-1].parent in open_sweeps or any(
            fold not in folds for other, fold in missing if other == settings
        )
        pooled = None
        if len(folds) > 1 and len(set(folds)) == len(folds) and not is_open:
            members = sorted(members, key=lambda run: (len(run.parameters[FOLD]), run.parameters[FOLD]))
            pooled = pool(members)
        found += members if pooled is None else [replace(pooled, parameters=_join(members))]
    return found


def _group(runs: Sequence[ComparedRun]) -> list[tuple[Hashable, list[ComparedRun]]]:
    """Return the runs that differ only in their fold, by sweep where a fold was run twice."""
    groups: dict[Hashable, list[ComparedRun]] = {}
    for run in runs:
        if _has_fold(run):
            groups.setdefault(_settings(run), []).append(run)
    found = []
    for settings, members in groups.items():
        if len({run.parameters[FOLD] for run in members}) == len(members):
            found.append((settings, members))
            continue
        sweeps = dict.fromkeys(run.parent for run in members)
        found += [(settings, [run for run in members if run.parent == sweep]) for sweep in sweeps]
    return found


def _has_fold(run: ComparedRun) -> bool:
    return run.parameters.get(FOLD) not in (None, "None", "null")


def _settings(run: ComparedRun) -> Hashable:
    return frozenset((name, value) for name, value in run.parameters.items() if name not in (FOLD, _SPLITS))


def _join(folds: Sequence[ComparedRun]) -> dict[str, str]:
    splits = [run.parameters.get(_SPLITS, "") for run in folds]
    return {**folds[0].parameters, FOLD: POOLED, _SPLITS: "+".join(splits)}
