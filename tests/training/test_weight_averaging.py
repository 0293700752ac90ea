"""The epochs whose weights are averaged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch.utils.data import DataLoader, TensorDataset

from dcase_sweep.config import Hardware
from dcase_sweep.training.lightning import make_trainer
from dcase_sweep.training.weight_averaging import StochasticWeightAveraging


class Counted(LightningModule):
    """A weight that each batch increases by 1; by a half where two are accumulated."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return -self.weight.sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


@pytest.mark.parametrize(("accumulated", "expected"), [(1, (9 + 12) / 2), (2, (4.5 + 6) / 2)])
def test_the_weights_at_the_ends_of_the_last_epochs_are_averaged(
    tmp_path: Path, accumulated: int, expected: float
) -> None:
    module, averaging = Counted(), StochasticWeightAveraging(0.5)
    callbacks = [averaging, GradientAccumulationScheduler({0: accumulated})]
    trainer = make_trainer(
        Hardware(accelerator="cpu", precision="32-true"), epochs=4, folder=tmp_path, callbacks=callbacks
    )

    trainer.fit(module, DataLoader(TensorDataset(torch.ones(3, 1))))

    assert module.weight.item() == pytest.approx(expected)
