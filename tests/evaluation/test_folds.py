"""Which runs are the folds of one cross-validation."""

from collections.abc import Sequence

import pytest

from dcase_sweep.evaluation.comparison.folds import pool_folds
from dcase_sweep.evaluation.comparison.systems import ComparedRun


def fold(number: int | None, sweep: str = "s", *, seed: int = 0) -> ComparedRun:
    """A run of a fold; None = a run without folds."""
    parameters = {"model": "cnn4", "seed": str(seed), "data.fold": str(number), "data.fingerprint": f"{seed}{number}"}
    return ComparedRun(f"{sweep}{seed}{number}", "cnn4", parameters, {}, parent=sweep)


def pool(folds: Sequence[ComparedRun]) -> ComparedRun:
    return ComparedRun("+".join(run.parameters["data.fold"] for run in folds), "pooled", {}, {})


def ids(
    runs: Sequence[ComparedRun], unfinished: Sequence[ComparedRun] = (), open_sweeps: Sequence[str] = ()
) -> set[str]:
    return {run.id for run in pool_folds(runs, unfinished, open_sweeps, pool)}


def test_the_folds_of_a_sweep_are_one_run_for_each_seed() -> None:
    runs = [fold(number, seed=seed) for seed in (0, 1) for number in (10, 2, 1)]

    pooled = pool_folds(runs, [], [], pool)

    assert [run.id for run in pooled] == ["1+2+10", "1+2+10"]
    assert [(run.seed, run.parameters["data.fold"]) for run in pooled] == [("0", "pooled"), ("1", "pooled")]
    assert pooled[0].parameters["data.fingerprint"] == "01+02+010"


def test_the_folds_of_several_sweeps() -> None:
    assert ids([fold(1, "a"), fold(2, "a"), fold(3, "b")]) == {"1+2+3"}  # b has skipped the finished jobs of a
    assert ids([fold(1, "a"), fold(2, "a"), fold(1, "b"), fold(2, "b")]) == {"1+2"}
    assert ids([fold(1, "a"), fold(2, "a"), fold(1, "b")]) == {"1+2", "b01"}


@pytest.mark.parametrize(
    ("unfinished", "open_sweeps"), [([fold(3)], []), ([], ["s"])], ids=["a fold failed", "the sweep is running"]
)
def test_folds_of_which_one_is_missing_are_left_as_they_are(
    unfinished: list[ComparedRun], open_sweeps: list[str]
) -> None:
    assert ids([fold(1), fold(2)], unfinished, open_sweeps) == {"s01", "s02"}


def test_a_fold_that_failed_first_and_runs_without_folds() -> None:
    assert ids([fold(1), fold(2)], [fold(2), fold(None)]) == {"1+2"}
    assert ids([fold(None), fold(None, "t")]) == {"s0None", "t0None"}
