"""Which experiments are trained together, as far as their configurations tell."""

import pytest

from dcase_sweep.application.fused_launcher import group
from dcase_sweep.application.together import find_obstacle
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.training.scenes import SceneLearner


class Silent(SceneLearner):
    """A learner of the user's own."""


class Willing(SceneLearner):
    """One that says that it trains together."""

    trains_together = True


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["task=1a"], None),
        (["task=4"], None),
        ([f"task.learner={__name__}.Willing"], None),
        (
            [f"task.learner={__name__}.Silent"],
            f"task.learner={__name__}.Silent trains one network at a time (it does not say trains_together)",
        ),
        (["task=4", "hardware.compile=true"], "hardware.compile compiles each network by itself"),
        (["framework=tensorflow"], "framework=tensorflow trains one network at a time"),
    ],
)
def test_learners_say_whether_they_train_together(overrides: list[str], reason: str | None) -> None:
    (composed,) = compose_experiments(overrides)

    assert find_obstacle(composed.experiment) == reason


def test_seeds_and_numbers_may_differ_within_a_group() -> None:
    fixed = {"task.name": "4", "model.filters": [4, 8], "mean_teacher.strong": 12, "hardware.compile": False}
    changes = [
        {"seed": 0, "model.dropout": 0},
        {"seed": 1, "model.dropout": 0.3},
        {"mean_teacher.consistency_weight": 1},
        {"mean_teacher.consistency_weight": 2, "optimizer.lr": 1, "augmentation.event_mixup.alpha": 1},
        {"model.filters": [4, 4]},
        {"mean_teacher.strong": 6, "seed": 3},
        {"model.filters": [4, 4], "training.epochs": 3},
    ]

    assert group([fixed | each for each in changes]) == [[0, 1, 2, 3], [4, 6], [5]]
