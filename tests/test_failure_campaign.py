"""The measurement of the failure campaign: what a failure has cost, and two processes that work on one trial."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState, create_trial

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.utils.processes import this_process
from tests.campaign.failure import Epoch, Failure, find_overlaps, measure_costs, read_epochs

BEGAN = 1_800_000_000.0
OWNER = replace(this_process(), number=41, host="north")


def lost_trial(folder: Path, *, closed: float, alive: float) -> FrozenTrial:
    """A trial of process 41 on north that was closed so many seconds after it had begun."""
    trial = create_trial(
        state=TrialState.FAIL,
        user_attrs={
            records.OWNER: str(OWNER),
            records.FOLDER: str(folder),
            records.INTERRUPTED: True,
            records.ALIVE: BEGAN + alive,
        },
    )
    trial.datetime_start = datetime.fromtimestamp(BEGAN)
    trial.datetime_complete = datetime.fromtimestamp(BEGAN + closed)
    return trial


def write_epochs(folder: Path, *rows: tuple[int, int, str, float]) -> list[Epoch]:
    lines = [f"{number} {process} {host} {BEGAN + time:.3f}\n" for number, process, host, time in rows]
    (folder / "epochs.txt").write_text("".join(lines))
    return read_epochs(folder / "epochs.txt")


def test_a_failure_costs_the_epoch_that_was_begun_again(tmp_path: Path) -> None:
    write_epochs(tmp_path, (0, 41, "north", 1), (1, 41, "north", 2), (1, 7, "south", 20), (2, 7, "south", 21))
    failures = [
        Failure("host", BEGAN + 3, "south"),
        Failure("worker SIGKILL", BEGAN + 3, "north", 40),
        Failure("host", BEGAN + 4, "north"),
    ]

    (cost,) = measure_costs([lost_trial(tmp_path, closed=16, alive=2)], failures, grace_period=10)

    assert cost.failure == failures[2]
    assert (cost.kind, cost.repeated, cost.noticed, cost.overdue) == ("interrupted", 1, 12, 4)


def test_a_trial_that_ends_without_a_failure_has_none(tmp_path: Path) -> None:
    failures = [Failure("command SIGKILL", BEGAN + 60, "north"), Failure("host", BEGAN + 5, "south")]

    (cost,) = measure_costs([lost_trial(tmp_path, closed=16, alive=2)], failures, grace_period=10)

    assert (cost.failure, cost.repeated) == (None, 0)


def test_a_time_limit_ends_a_trial_at_some_moment_before_it(tmp_path: Path) -> None:
    limits = [Failure("command time limit", BEGAN - 5, "north", until=BEGAN + end) for end in (-4, 20)]

    (cost,) = measure_costs([lost_trial(tmp_path, closed=16, alive=2)], limits, grace_period=10)

    assert (cost.failure, cost.noticed) == (limits[1], 0)


def test_two_processes_that_work_on_a_trial_at_a_time_are_seen(tmp_path: Path) -> None:
    rows = [(0, 41, "north", 1.0), (1, 41, "north", 2.0), (1, 41, "south", 3.0), (2, 41, "south", 4.0)]
    assert find_overlaps(write_epochs(tmp_path, *rows)) == []

    epochs = write_epochs(tmp_path, *rows, (2, 41, "north", 5.0))

    assert find_overlaps(epochs) == [epochs[-1]]
