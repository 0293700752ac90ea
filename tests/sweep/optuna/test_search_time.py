"""How long an epoch of a search takes, as far as its trials tell."""

import time
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from dcase_sweep.sweep.optuna.attributes import EPOCH, REPEAT_OF, SECONDS
from dcase_sweep.sweep.optuna.search_time import SearchTime, seconds_of_epoch


def trial(steps: int = 0, **attributes: Any) -> FrozenTrial:
    return create_trial(
        value=0.0,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=dict.fromkeys(range(steps), 0.5),
        user_attrs=attributes,
    )


@pytest.mark.parametrize(
    ("trials", "seconds"),
    [
        ([], 0.0),
        ([trial()], 0.0),
        ([trial(**{EPOCH: 3.0}), trial(**{EPOCH: 7.0}), trial(**{EPOCH: 5.0})], 7.0),
        ([trial(4, **{SECONDS: 8.0})], 2.0),
        ([trial(**{SECONDS: 8.0})], 8.0),
        ([trial(**{SECONDS: 8.0, REPEAT_OF: 0})], 0.0),
        ([trial(**{EPOCH: "long", SECONDS: "long"})], 0.0),
        ([trial(**{EPOCH: 9.0}), *(trial(**{EPOCH: 2.0}) for _ in range(20))], 2.0),
    ],
)
def test_the_longest_epoch_of_the_newest_trials_counts(trials: list[FrozenTrial], seconds: float) -> None:
    assert seconds_of_epoch(trials) == seconds


def test_what_does_not_fit_is_described() -> None:
    known = [trial(**{EPOCH: 90.0})]

    assert SearchTime(None).find_shortage(known) is None
    assert SearchTime(time.time() + 100).find_shortage(known) is None
    assert SearchTime(time.time() + 30.4).find_shortage(known) == "time limit: 0:00:30 left, an epoch takes 0:01:30"


def test_a_running_trial_of_an_interrupted_worker_counts() -> None:
    study = optuna.create_study()
    asked = study.ask()
    asked.set_user_attr(EPOCH, 4.0)

    assert seconds_of_epoch(study.get_trials()) == 4.0
