"""The checkpoint from which a training is resumed has the same learning rates as an uninterrupted one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from dcase_sweep.training.best_checkpoint import LastCheckpoint
from dcase_sweep.training.checkpoints import LAST


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
            enable_checkpointing=False,
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
