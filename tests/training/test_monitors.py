"""The metric and the direction of callbacks and of a scheduler that watch one."""

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback

from dcase_sweep.config import get_monitor, get_watched
from dcase_sweep.config.components import make_callbacks
from dcase_sweep.training.optimization import Optimization
from tests.composing import composed

STOPPING = "pytorch_lightning.callbacks.EarlyStopping"


class Noisy(Callback):
    """A callback with a mode that has nothing to do with a metric."""

    def __init__(self, mode: str = "fast") -> None:
        self.mode = mode


def made(*overrides: str) -> Any:
    experiment = composed(*overrides)
    monitor = get_monitor(experiment)
    (callback,) = make_callbacks(experiment.callbacks, lambda metric: get_watched(experiment, metric, monitor))
    return callback


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("validation/accuracy", "max")),
        (["task.monitor=validation/loss"], ("validation/loss", "min")),
        (["task.monitor=validation/cost", "task.mode=min"], ("validation/cost", "min")),
        (["+callbacks.stop.monitor=validation/accuracy"], ("validation/accuracy", "max")),
        (["+callbacks.stop.monitor=validation/loss"], ("validation/loss", "min")),
        (["+callbacks.stop.monitor=validation/accuracy", "+callbacks.stop.mode=min"], ("validation/accuracy", "min")),
        (["metrics=macro_f1", "+callbacks.stop.monitor=validation/macro_f1"], ("validation/macro_f1", "max")),
    ],
)
def test_a_metric_of_a_callback_has_its_direction(words: list[str], expected: tuple[str, str]) -> None:
    callback = made(f"+callbacks.stop={{_target_:{STOPPING}}}", *words)

    assert (callback.monitor, callback.mode) == expected


def test_a_mode_without_a_metric_is_the_callbacks_own() -> None:
    assert made(f"+callbacks.noisy={{_target_:{__name__}.Noisy}}").mode == "fast"


def test_a_metric_of_a_scheduler_has_its_direction() -> None:
    plateau = [
        "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
        *("~scheduler.ramp_epochs", "scheduler.interval=epoch", "task.monitor=validation/loss"),
    ]

    layer = torch.nn.Linear(1, 1)

    def mode(*words: str) -> str:
        optimization = Optimization.of(composed(*plateau, *words), 10)
        return optimization.configure(layer.parameters())["lr_scheduler"]["scheduler"].mode  # type: ignore[no-any-return]

    assert mode() == "min"
    assert mode("+scheduler.monitor=validation/accuracy") == "max"
    assert mode("+scheduler.monitor=validation/accuracy", "+scheduler.mode=min") == "min"
