"""Training of any module: selected weights, resumption of finished trainings, and divergence."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dcase_sweep.config import Experiment, Hardware, Monitor
from dcase_sweep.config.schemas import Training
from dcase_sweep.training.fitting import Fitted, fit
from dcase_sweep.utils.errors import UserError


class Scripted(LightningModule):
    """A module with one weight, and with losses and accuracies for each epoch that a test defines."""

    def __init__(self, losses: list[float], accuracies: list[float]) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        self.losses, self.accuracies = losses, accuracies

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch: Tensor, position: int) -> Tensor:
        loss = self.layer(batch).square().mean() * 0 + self.losses[self.current_epoch]
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def validation_step(self, batch: Tensor, position: int) -> None:
        self.log("validation/accuracy", torch.tensor(self.accuracies[self.current_epoch]), batch_size=1)


def fitted(module: Scripted, folder: Path, resume: Path | None = None) -> Fitted:
    experiment = Experiment(
        training=Training(epochs=len(module.losses), batch_size=1, best_after_fraction=0),
        hardware=Hardware(accelerator="cpu", precision="32-true"),
    )
    batches = DataLoader(torch.ones(1, 1))  # type: ignore[arg-type]
    return fit(
        module,
        batches,
        batches,
        experiment,
        folder,
        monitor=Monitor("validation/accuracy", "max"),
        extra={},
        on_epoch=lambda epoch, metrics: None,
        resume=resume,
    )


def test_a_training_that_was_killed_after_its_last_epoch_is_taken_up_elsewhere(tmp_path: Path) -> None:
    before = fitted(Scripted([1.0, 1.0], [0.7, 0.5]), tmp_path / "first")

    after = fitted(Scripted([1.0, 1.0], [0.7, 0.5]), tmp_path / "second", resume=tmp_path / "first/last.ckpt")

    assert after.checkpoint.parent == tmp_path / "second"
    assert (after.best_epoch, after.best_value, after.epochs) == (before.best_epoch, before.best_value, 2)
    kept = torch.load(after.checkpoint, weights_only=True)
    assert torch.equal(kept["state_dict"]["layer.weight"], torch.load(before.checkpoint)["state_dict"]["layer.weight"])


def test_the_best_epoch_of_a_training_that_an_earlier_version_began_is_remembered(tmp_path: Path) -> None:
    fitted(Scripted([1.0, 1.0], [0.7, 0.5]), tmp_path / "first")
    content = torch.load(tmp_path / "first/last.ckpt", weights_only=True)
    content["callbacks"]["Keeper"] = content["callbacks"].pop("BestCheckpoint")  # as the class was called
    torch.save(content, tmp_path / "earlier.ckpt")

    after = fitted(Scripted([1.0] * 3, [0.7, 0.5, 0.6]), tmp_path / "second", resume=tmp_path / "earlier.ckpt")

    assert (after.best_epoch, round(after.best_value, 3), after.epochs) == (0, 0.7, 3)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_training_in_one_line(tmp_path: Path, loss: float) -> None:
    with pytest.raises(UserError) as caught:
        fitted(Scripted([1.0, loss, 1.0], [0.2, 0.3, 0.4]), tmp_path)

    assert str(caught.value).startswith(f"training diverged in epoch 2: loss is {loss}; lower optimizer.lr")
    assert "\n" not in str(caught.value)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0


def test_an_epoch_without_a_number_is_never_the_best(tmp_path: Path) -> None:
    best = fitted(Scripted([1.0, 1.0, 1.0], [math.nan, 0.3, 0.2]), tmp_path)

    assert (best.best_epoch, round(best.best_value, 3)) == (1, 0.3)


def test_a_training_without_any_validation_metric_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"validation/accuracy was not a number in any epoch"):
        fitted(Scripted([1.0], [math.nan]), tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.update(state_dict={"layer.weight": torch.ones(2, 2)}), "RuntimeError"),
        (lambda content: content.update(state_dict={}), "RuntimeError"),
        (lambda content: content.update(optimizer_states=[{}, {}]), "resume="),
        (lambda content: content.update(optimizer_states=[{"state": 3}]), "resume="),
        (lambda content: content.update(callbacks={"BestCheckpoint": {"epoch": 1}}), "KeyError"),
        (lambda content: content["callbacks"]["BestCheckpoint"].update(value=math.nan), "the best epoch is"),
        (lambda content: content["callbacks"]["BestCheckpoint"].update(weights=[1]), "state_dict is a list"),
        (lambda content: content.update(loops=3), "resume="),
        (
            lambda content: content["optimizer_states"][0].update(state={0: {"momentum_buffer": torch.ones(7)}}),
            r"momentum_buffer \[7\] of a parameter \[1, 1\]",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_the_checkpoints_fault(
    change: Callable[[dict[str, Any]], None], says: str, tmp_path: Path
) -> None:
    fitted(Scripted([1.0, 1.0], [0.7, 0.5]), tmp_path / "first")
    content = torch.load(tmp_path / "first/last.ckpt", weights_only=True)
    content["epoch"] = 0
    change(content)
    torch.save(content, tmp_path / "last.ckpt")

    with pytest.raises(UserError, match=says) as caught:
        fitted(Scripted([1.0] * 3, [0.7, 0.5, 0.6]), tmp_path / "second", resume=tmp_path / "last.ckpt")

    assert str(caught.value).startswith(f"resume={tmp_path}/last.ckpt: its state does not fit this training")
    assert "\n" not in str(caught.value)
