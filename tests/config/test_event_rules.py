"""The evaluation of task 4 as configuration."""

import pytest
from hydra import compose

from dcase_sweep.config import check, event_rules
from dcase_sweep.evaluation.events import EventRules
from dcase_sweep.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("composes")


def rules(*overrides: str) -> EventRules:
    experiment = check(compose("config", ["model=crnn_meanteacher", *overrides]))
    assert experiment.evaluation is not None
    return event_rules(experiment.evaluation)


def test_the_configured_numbers_are_those_of_the_code() -> None:
    assert rules() == EventRules()


def test_every_number_reaches_the_evaluation() -> None:
    changed = rules(
        "evaluation.thresholds=20",
        "evaluation.f1_threshold=0.4",
        "evaluation.validation_threshold=0.3",
        "evaluation.cross_trigger_average=others",
        "evaluation.scenario2.alpha_ct=1",
        "evaluation.scenario1.max_efpr=50",
        "evaluation.offset_fraction=0.5",
        "evaluation.segment_length=0.1",
        "evaluation.intersection.gtc=0.7",
    )

    assert (changed.thresholds, changed.f1_threshold, changed.validation_threshold) == (20, 0.4, 0.3)
    assert changed.cross_trigger_average == "others"
    assert (changed.scenarios[0].max_efpr, changed.scenarios[1].alpha_ct) == (50, 1)
    criteria = changed.criteria
    assert (criteria.offset_fraction, criteria.segment_length, criteria.gtc) == (0.5, 0.1, 0.7)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("evaluation.thresholds=0", "evaluation.thresholds is 0; expected at least 1"),
        ("evaluation.f1_threshold=1", "evaluation.f1_threshold is 1.0; expected 0 to below 1"),
        ("evaluation.cross_trigger_average=mean", "evaluation.cross_trigger_average is 'mean'; expected all or others"),
        ("evaluation.scenario1.gtc=70", "evaluation.scenario1.gtc is 70.0; expected more than 0 and at most 1"),
        ("evaluation.scenario2.alpha_ct=2", "evaluation.scenario2.alpha_ct is 2.0; expected 0 to 1"),
        ("evaluation.onset_collar=-1", "evaluation.onset_collar is -1.0; expected 0 or more"),
        ("evaluation.segment_length=0", "evaluation.segment_length=0: expected at least 0.01"),
        ("evaluation.intersection.cttc=0", "evaluation.intersection.cttc is 0.0; expected more than 0"),
        ("+evaluation.scenario1.dct=0.7", "evaluation.scenario1.dct: no such key; did you mean evaluation.scenario1"),
    ],
)
def test_rejected_in_one_line(override: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        rules(override)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
