"""The state of a search from its trials."""

from dataclasses import replace
from typing import Any

import pytest

from dcase_sweep.sweep.optuna.attributes import COMMAND, OWNER, STOPPED
from dcase_sweep.sweep.optuna.overview import Best, summarize
from dcase_sweep.sweep.optuna.stored_study import StoredStudy, StoredTrial
from dcase_sweep.utils.processes import ProcessIdentity, this_process

HERE = this_process()
NOW = 1_800_000_000.0
HOUR = 3600.0


def on(host: str) -> ProcessIdentity:
    return replace(HERE, machine=f"boot-of-{host}:pid:[1]", host=host)


def study(*trials: tuple[str, float, float | None, ProcessIdentity], **command: Any) -> StoredStudy:
    """A study of trials: state, start and end in hours before now, and the process."""
    made = [
        StoredTrial(
            number,
            state,
            NOW - started * HOUR,
            None if ended is None else NOW - ended * HOUR,
            [number / 10] if state == "COMPLETE" else [],
            {OWNER: str(owner)},
        )
        for number, (state, started, ended, owner) in enumerate(trials)
    ]
    return StoredStudy("s", ["maximize"], ["accuracy"], {COMMAND: command}, made)


def test_hosts_are_summed_up_by_the_time_that_they_worked() -> None:
    """Half an hour for each of two trials at a time, and a night between two commands."""
    found = summarize(
        study(
            ("COMPLETE", 21, 20.5, on("north")),
            ("COMPLETE", 21, 20.5, on("north")),
            ("PRUNED", 0.5, 0, on("north")),
            ("COMPLETE", 0.5, 0, on("north")),
            ("COMPLETE", 1, 0, on("south")),
            ("RUNNING", 0.01, None, on("north")),
            n_trials=11,
        ),
        NOW,
    )

    north, south = found.hosts
    assert (north.host, north.trials_per_hour, north.last) == ("north", pytest.approx(4), NOW)
    assert (south.host, south.trials_per_hour, south.last) == ("south", pytest.approx(1), NOW)
    assert north.counts == {"finished": 3, "pruned": 1, "running": 1}
    assert (found.state, found.done, found.wanted) == ("running", 5, 11)
    assert found.trials_per_hour == pytest.approx(4), "south has stopped working"
    assert found.remaining == pytest.approx(1.5 * HOUR)
    assert found.best == [Best("accuracy", 0.4, 4)]


def test_a_trial_whose_process_is_gone_is_lost() -> None:
    gone = replace(HERE, start="1")
    trials = (("RUNNING", 0.1, None, gone), ("RUNNING", 1, None, on("silent")), ("RUNNING", 1, None, HERE))

    found = summarize(study(*trials, n_trials=3), NOW)

    assert found.counts == {"lost": 2, "running": 1}
    patient = summarize(study(*trials, n_trials=3, grace_period=7200.0), NOW)
    assert patient.counts == {"lost": 1, "running": 2}


def test_the_end_of_a_search() -> None:
    done = ("COMPLETE", 1.0, 0.5, HERE)
    complete, idle = summarize(study(done, n_trials=1), NOW), summarize(study(done, n_trials=2), NOW)
    stopped = study(done, n_trials=2)
    stopped.user_attrs[STOPPED] = "too many failed"

    assert (complete.state, complete.remaining) == ("complete", 0.0)
    assert (idle.state, idle.remaining) == ("idle", None)
    assert (summarize(stopped, NOW).state, summarize(stopped, NOW).reason) == ("stopped", "too many failed")


def test_what_is_stored_is_not_trusted() -> None:
    odd = study(("COMPLETE", 1, 0.5, HERE), n_trials="many", grace_period=None)
    odd.trials[0].user_attrs[OWNER] = ["no text"]

    found = summarize(odd, NOW)

    assert (found.wanted, found.hosts, found.done) == (None, [], 1)
    assert summarize(replace(odd, user_attrs={COMMAND: 3}), NOW).wanted is None
