"""Experiments that framework=tensorflow cannot run are rejected before any time is spent."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from dcase_sweep.config import Experiment
from dcase_sweep.models.cnn import CNN
from dcase_sweep.training.keras import library
from dcase_sweep.utils.errors import UserError
from tests.composing import composed


def with_tensorflow(*overrides: str) -> Experiment:
    return composed("framework=tensorflow", *overrides)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model=crnn_meanteacher"], "framework=tensorflow has no learner for task=4; expected one of torch"),
        (["hardware=mps"], "hardware=mps: for framework=torch only; choose hardware=cpu"),
        (["hardware.channels_last=false"], "hardware.channels_last=false: no effect with framework=tensorflow"),
        (
            ["hardware=gpu", "augmentation=roll"],
            "augmentation.roll: framework=tensorflow augments in memory only; set hardware.cache_device=memory",
        ),
        (
            ["optimizer._target_=torch.optim.NAdam"],
            "optimizer._target_=torch.optim.NAdam: not available with framework=tensorflow; expected one of",
        ),
        (["+optimizer.amsgrad=true"], "optimizer.amsgrad=True: not supported with framework=tensorflow; leave it out"),
        (
            ["scheduler=warmup_cosine"],
            "scheduler._target_=dcase_sweep.training.schedules.warmup_cosine: not available with framework=tensorflow",
        ),
        (
            ["scheduler=cosine", "scheduler.interval=epoch"],
            "scheduler.interval=epoch: framework=tensorflow updates the learning rate after each step; choose",
        ),
        (["scheduler.ramp_epochs=2"], "scheduler.ramp_epochs=2: not supported with framework=tensorflow"),
        (["+task.loss.label_smoothing=0.1"], "task.loss.label_smoothing=0.1: not supported with framework=tensorflow"),
        (["callbacks=early_stopping"], "callbacks.early_stopping: framework=tensorflow does not support Lightning"),
    ],
)
def test_rejected_in_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        with_tensorflow(*overrides)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_keras_version_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(CNN, "keras_twin")

    with pytest.raises(UserError, match=r"^framework=tensorflow: model CNN is not available; choose torch$"):
        with_tensorflow()


class Wider(CNN):
    """Computes something else than the network that it inherits from, and so than its Keras version."""


def test_a_model_that_inherits_from_one_with_a_keras_version_is_rejected() -> None:
    with pytest.raises(UserError, match=r"^framework=tensorflow: model Wider is not available; choose torch$"):
        with_tensorflow(f"model._target_={__name__}.Wider")


def test_without_tensorflow_one_line_describes_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # what Python takes for a module that is not there

    with pytest.raises(UserError, match=r"TensorFlow is not installed; pip install 'dcase-sweep\[tensorflow\]'"):
        with_tensorflow()
    with pytest.raises(UserError, match="TensorFlow is not installed"):
        library.import_keras()


def test_keras_on_another_backend_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    keras, tensorflow = ModuleType("keras"), ModuleType("tensorflow")
    keras.backend = ModuleType("keras.backend")  # type: ignore[attr-defined]
    keras.backend.backend = lambda: "jax"  # type: ignore[attr-defined]
    for module in (keras, tensorflow):
        module.__spec__ = ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    tensorflow.config = SimpleNamespace(list_physical_devices=lambda kind: [])  # type: ignore[attr-defined]

    with pytest.raises(UserError, match="Keras runs on jax in this process; set KERAS_BACKEND=tensorflow"):
        library.import_keras()
