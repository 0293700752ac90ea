"""A training that is resumed has the learning rates and the end of an uninterrupted one."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from torch.utils.data import DataLoader, TensorDataset

from dcase_sweep.config import Hardware, Monitor
from dcase_sweep.training.best_checkpoint import BestCheckpoint, EpochListener, LastCheckpoint
from dcase_sweep.training.checkpoints import LAST
from dcase_sweep.training.lightning import make_trainer

CPU = Hardware(accelerator="cpu", precision="32-true")


class Recorder(LightningModule):
    """A network whose validation gets worse in every epoch, and which records its learning rates."""

    def __init__(self, scheduler: Any, frequency: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.scheduler, self.frequency = scheduler, frequency
        self.rates: list[float] = []

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        found: torch.Tensor = self.layer(batch[0]).square().mean()
        return found

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("validation/loss", 1.0 + self.current_epoch)

    def on_train_epoch_start(self) -> None:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        words = {"monitor": "validation/loss", "frequency": self.frequency}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler(optimizer), **words}}


@pytest.mark.parametrize("frequency", [1, 2])
@pytest.mark.parametrize(
    "scheduler",
    [
        lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5),
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5),
    ],
    ids=["plateau", "step"],
)
def test_a_resumed_training_has_the_learning_rates_of_an_uninterrupted_one(
    tmp_path: Path, scheduler: Any, frequency: int
) -> None:
    batches = DataLoader(TensorDataset(torch.ones(4, 1)), 2)

    def train(epochs: int, name: str, resume: Path | None = None) -> list[float]:
        module = Recorder(scheduler, frequency)
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[LastCheckpoint(tmp_path / name)],
        )
        trainer.fit(module, batches, batches, ckpt_path=resume)
        return module.rates

    whole = train(6, "whole")

    for epochs in (1, 2, 3):
        begun = train(epochs, f"begun {epochs}")
        assert begun + train(6, f"resumed {epochs}", tmp_path / f"begun {epochs}" / LAST) == whole


def test_a_state_that_is_none_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the metrics of the schedulers are"):
        LastCheckpoint(tmp_path).load_state_dict({"plateau": ["high"]})


@pytest.mark.parametrize("first_epoch", [0, 9])
def test_a_resumed_training_stops_early_where_an_uninterrupted_one_does(tmp_path: Path, first_epoch: int) -> None:
    batches = DataLoader(TensorDataset(torch.ones(4, 1)), 2)

    def train(name: str, resume: Path | None = None) -> tuple[int, int, Any]:
        module = Recorder(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5), 1)
        monitor = Monitor("validation/loss", "min")
        (tmp_path / name).mkdir()
        best = BestCheckpoint(
            tmp_path / name,
            monitor=monitor,
            first_epoch=first_epoch,
            extra={},
            on_epoch=keep_each(tmp_path / name),
            has_callbacks=True,
        )
        stopping = EarlyStopping(monitor.metric, mode=monitor.mode, patience=2)
        callbacks = [stopping, best, LastCheckpoint(tmp_path / name)]
        trainer = make_trainer(CPU, epochs=10, folder=tmp_path / name, callbacks=callbacks)
        trainer.fit(module, batches, batches, ckpt_path=resume, weights_only=True)
        best.conclude()
        return trainer.current_epoch, best.best_epoch, module.layer.weight.item()

    whole = train("whole")

    assert whole[:2] == (3, 2 if first_epoch else 0)
    for epochs in (1, 2):
        assert train(f"resumed {epochs}", tmp_path / "whole" / f"after {epochs}.ckpt") == whole
    assert train("resumed 3", tmp_path / "whole" / LAST) == whole


def keep_each(folder: Path) -> EpochListener:
    """Keep the checkpoint of each epoch but the last one."""

    def keep(epoch: int, metrics: dict[str, float]) -> None:
        if (folder / LAST).is_file():
            shutil.copyfile(folder / LAST, folder / f"after {epoch}.ckpt")

    return keep
