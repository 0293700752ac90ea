"""Components that fail, and components made of others: schedulers of schedulers, weights of classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch.utils.data import DataLoader, TensorDataset

from dcase_sweep.config import Experiment, Monitor
from dcase_sweep.config.components import make_loss
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.training.fitting import fit, load_weights
from dcase_sweep.training.loss_check import try_event_loss, try_scene_loss
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.utils.errors import UserError

OWN = """
import torch
from pytorch_lightning import Callback


class Late(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        raise KeyError("late")


class Pole(torch.optim.lr_scheduler.LRScheduler):
    def get_lr(self):
        return [1 / (self.last_epoch - 2) for _ in self.base_lrs]


class Attentive(Callback):
    def on_train_epoch_end(self, trainer, module):
        trainer.nothing


class Broken(torch.optim.SGD):
    def __init__(self, parameters, lr):
        assert False


def by_shape(parameters, lr):
    parameters = list(parameters)
    kernels = [each for each in parameters if each.ndim > 1]
    return torch.optim.SGD([{"params": kernels}, {"params": [each for each in parameters if each.ndim < 2]}], lr=lr)


def distance(predictions, targets):
    return {}["distance"]
"""
SCHEDULERS = "torch.optim.lr_scheduler"
NO_RAMP = "~scheduler.ramp_epochs"


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


def experiment(*words: str) -> Experiment:
    return compose_experiments(["hardware.threads=1", *words])[0].experiment


class Line(LightningModule):
    """A module of the user's own, with the configured optimizer, scheduler and loss."""

    def __init__(self, experiment: Experiment, steps: int) -> None:
        super().__init__()
        self.network = torch.nn.Linear(4, 3)
        self.optimization = Optimization.of(experiment, steps)
        self.loss = make_loss(experiment.task.loss)
        self.rates: list[float] = []

    def configure_optimizers(self) -> Any:
        return self.optimization.configure(self.network.parameters())

    def training_step(self, batch: Any, position: int) -> torch.Tensor:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return self.loss(self.network(batch[0]), batch[1])

    def validation_step(self, batch: Any, position: int) -> None:
        self.log("validation/accuracy", 0.5)


def train(folder: Path, *words: str, epochs: int = 2) -> Line:
    """Train a line in two steps per epoch."""
    settings = experiment(f"training.epochs={epochs}", "training.best_after_fraction=0", *words)
    batches = DataLoader(TensorDataset(torch.ones(4, 4), torch.tensor([0, 1, 2, 0])), 2)
    module = Line(settings, 2)
    fit(
        module,
        batches,
        batches,
        settings,
        folder,
        monitor=Monitor("validation/accuracy", "max"),
        extra={},
        on_epoch=lambda epoch, metrics: None,
        resume=None,
    )
    return module


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["optimizer._target_=failing_parts.Late", "~optimizer.eps"],
            "optimizer: KeyError: 'late' (failing_parts.Late, failing_parts.py, line 9)",
        ),
        (
            ["scheduler._target_=failing_parts.Pole", NO_RAMP],
            "scheduler: ZeroDivisionError: division by zero (failing_parts.Pole, failing_parts.py, line 14)",
        ),
        (
            ["+callbacks.mine._target_=failing_parts.Attentive"],
            "callbacks.mine: AttributeError: 'Trainer' object has no attribute 'nothing' (failing_parts.Attentive, "
            "failing_parts.py, line 19)",
        ),
        (
            ["task.loss._target_=failing_parts.distance", "+task.loss._partial_=true"],
            "task.loss: KeyError: 'distance' (failing_parts.distance, failing_parts.py, line 34)",
        ),
        (
            ["optimizer._target_=torch.optim.SparseAdam", "~optimizer.weight_decay"],
            "optimizer: SparseAdam does not support dense gradients, please consider Adam instead "
            "(torch.optim.SparseAdam)",
        ),
        (
            [f"scheduler._target_={SCHEDULERS}.OneCycleLR", NO_RAMP, "+scheduler.max_lr=1", "+scheduler.total_steps=3"],
            "scheduler.total_steps=3: too few for the training, which has 2 epochs of 2 steps; expected at least 4, or "
            "leave total_steps out",
        ),
    ],
)
def test_an_exception_during_the_training_is_a_line_with_the_key(words: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train(tmp_path, *words)

    assert str(caught.value) == says


def test_an_exception_of_the_module_itself_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: Line, batch: Any, position: int) -> None:
        raise KeyError("of the module")

    monkeypatch.setattr(Line, "training_step", fail)

    with pytest.raises(KeyError, match="of the module"):
        train(tmp_path, "+optimizer.amsgrad=true")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["optimizer._target_=failing_parts.Broken", "~optimizer.eps", "~optimizer.weight_decay"],
            "optimizer: AssertionError (failing_parts.Broken, failing_parts.py, line 24)",
        ),
        (["+optimizer.foreach=true", "+optimizer.fused=true"], "optimizer: `fused` and `foreach` cannot be `True`"),
        (
            [f"scheduler._target_={SCHEDULERS}.LambdaLR", NO_RAMP, "+scheduler.lr_lambda=3"],
            "scheduler: 'int' object is not callable (torch.optim.lr_scheduler.LambdaLR)",
        ),
        (
            [
                *(f"scheduler._target_={SCHEDULERS}.ChainedScheduler", NO_RAMP),
                f"+scheduler.schedulers=[{{_target_:{SCHEDULERS}.LinearLR,totl_iters:2}}]",
            ],
            "scheduler.schedulers.0.totl_iters: no such key; did you mean scheduler.schedulers.0.total_iters?",
        ),
        (
            [
                *(f"scheduler._target_={SCHEDULERS}.ChainedScheduler", NO_RAMP),
                f"+scheduler.schedulers=[{{_target_:{SCHEDULERS}.ExponentialLR}}]",
            ],
            "scheduler.schedulers.0: ExponentialLR.__init__() missing 1 required positional argument: 'gamma'",
        ),
        (
            [f"scheduler._target_={SCHEDULERS}.ReduceLROnPlateau", NO_RAMP],
            "scheduler.interval=step: ReduceLROnPlateau needs a metric, which is computed after each epoch; choose",
        ),
        (["+task.loss.weight=[1,2,x]"], "task.loss.weight=[1, 2, 'x']: expected numbers, in lists of equal length"),
    ],
)
def test_an_exception_of_a_constructor_is_a_line_with_the_key(words: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        experiment(*words)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_progress_bar_of_lightning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, "+callbacks.bar._target_=pytorch_lightning.callbacks.TQDMProgressBar")

    assert "Epoch 1: 100%" in capsys.readouterr().out


def test_a_checkpoint_of_lightning_in_its_own_folder(tmp_path: Path) -> None:
    train(tmp_path, "+callbacks.more._target_=pytorch_lightning.callbacks.ModelCheckpoint")

    assert [path.suffix for path in (tmp_path / "checkpoints").iterdir()] == [".ckpt"]


def test_an_optimizer_may_divide_the_parameters_of_the_network() -> None:
    words = ["optimizer._target_=failing_parts.by_shape", "~optimizer.eps", "~optimizer.weight_decay"]

    assert experiment(*words).optimizer._target_ == "failing_parts.by_shape"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["task.loss._target_=torch.nn.MSELoss"], "expected a loss of logits [batch, 10] and class indices [batch]"),
        (["+task.loss.weight=[1,2,3]"], "task.loss: weight tensor should be defined either for all 10 classes or no"),
        (["+task.loss.reduction=none"], "returned [11] for logits [batch, 10] and class indices [batch] (int64); exp"),
        (["task=4", "+task.loss.weight=[1,2]"], "expected a loss of probabilities [batch, 10, frame] and targets"),
    ],
)
def test_a_loss_that_does_not_fit_the_targets_is_found_before_features_are_computed(
    words: list[str], says: str
) -> None:
    settings = experiment(*words)

    with pytest.raises(UserError) as caught:
        (try_event_loss if "task=4" in words else try_scene_loss)(settings, 10)

    assert str(caught.value).startswith("task.loss")
    assert says in str(caught.value)


def test_weights_of_classes_are_a_list(tmp_path: Path) -> None:
    module = train(tmp_path, "+task.loss.weight=[1,2,4]")

    assert module.loss.weight.tolist() == [1.0, 2.0, 4.0]
    plain = Line(experiment(), 2)
    load_weights(plain, tmp_path / "best.ckpt")  # of a training with another loss
    assert torch.equal(plain.network.weight, module.network.weight)


@pytest.mark.parametrize(
    ("words", "rates"),
    [
        (
            [
                *(f"scheduler._target_={SCHEDULERS}.SequentialLR", "+scheduler.milestones=[2]"),
                f"+scheduler.schedulers=[{{_target_:{SCHEDULERS}.ConstantLR,_partial_:true,factor:0.5}},"
                f"{{_target_:{SCHEDULERS}.ExponentialLR,gamma:0.1}}]",
            ],
            [0.5, 0.5, 1.0, 0.1],
        ),
        (
            [
                f"scheduler._target_={SCHEDULERS}.ChainedScheduler",
                f"+scheduler.schedulers=[{{_target_:{SCHEDULERS}.ConstantLR,factor:0.5,total_iters:2}},"
                f"{{_target_:{SCHEDULERS}.ExponentialLR,gamma:0.1}}]",
            ],
            [0.5, 0.05, 0.01, 0.001],
        ),
        (
            [f"scheduler._target_={SCHEDULERS}.OneCycleLR", "+scheduler.max_lr=2", "+scheduler.pct_start=0.5"],
            [0.08, 2.0, 1.0, 0.000008],
        ),
        (
            [
                *(f"scheduler._target_={SCHEDULERS}.OneCycleLR", "+scheduler.max_lr=2", "+scheduler.pct_start=0.5"),
                *("scheduler.interval=epoch", "training.epochs=4"),
            ],
            [0.08, 0.08, 2.0, 2.0, 1.0, 1.0, 0.000008, 0.000008],
        ),
    ],
)
def test_schedulers_of_schedulers_and_of_a_number_of_steps(
    words: list[str], rates: list[float], tmp_path: Path
) -> None:
    sgd = ["optimizer=sgd", "optimizer.lr=1"]

    module = train(tmp_path, *sgd, NO_RAMP, *words)

    assert module.rates == pytest.approx(rates, rel=1e-3)
