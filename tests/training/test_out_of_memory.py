"""A batch that does not fit in the memory of a GPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcase_sweep.config import Experiment, Hardware, Monitor
from dcase_sweep.config.schemas import Training
from dcase_sweep.training.batches import Batches, Clips
from dcase_sweep.training.fitting import fit
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.out_of_memory import find_fitting_fraction
from dcase_sweep.training.scenes.module import SceneModule
from dcase_sweep.utils.errors import UserError


class Large(nn.Module):
    """A network for which the memory is insufficient with more than this number of clips."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.layer = nn.Linear(8, 3)

    def forward(self, features: Tensor) -> Tensor:
        if len(features) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        logits: Tensor = self.layer(features.flatten(1))
        return logits


def fit_large(most: int, folder: Path, cache_device: str = "memory") -> None:
    module = SceneModule(
        Large(most),
        classes=3,
        mean=torch.zeros(2),
        deviation=torch.ones(2),
        optimization=Optimization(
            {"_target_": "torch.optim.SGD", "lr": 0.1},
            {"_target_": "dcase_sweep.training.schedules.constant"},
            epochs=1,
            steps_per_epoch=1,
        ),
        loss=nn.CrossEntropyLoss(),
        seed=0,
    )
    clips = Clips(torch.randn(64, 2, 4).numpy(), torch.arange(64).numpy(), torch.arange(64).numpy() % 3)
    fit(
        module,
        Batches(clips, 64, shuffle_seed=0),
        Batches(clips, 8),
        Experiment(
            training=Training(epochs=1, batch_size=64, best_after_fraction=0.0),
            hardware=Hardware(accelerator="cpu", precision="32-true", cache_device=cache_device),
        ),
        folder,
        monitor=Monitor("validation/accuracy", "max"),
        extra={},
        on_epoch=lambda epoch, metrics: None,
        resume=None,
    )


@pytest.mark.parametrize(
    ("most", "cache_device", "advice"),
    [
        (20, "memory", "training.batch_size=16, which fits, or end other programs on the GPU"),
        (
            20,
            "device",
            "training.batch_size=16, which fits, or hardware.cache_device=memory, or end other programs on the GPU",
        ),
        (0, "memory", "a smaller network, or end other programs on the GPU"),
    ],
)
def test_one_line_recommends_a_batch_size_that_fits(most: int, cache_device: str, advice: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fit_large(most, tmp_path, cache_device)

    line = str(caught.value)
    assert line.startswith("out of memory")
    assert line.endswith(f" with training.batch_size=64; use {advice}")
    assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB)"),
    ],
    ids=["cuda", "mps"],
)
def test_the_largest_fitting_fraction_is_found_by_trying(error: RuntimeError) -> None:
    tried: list[int] = []

    def attempt(divisor: int) -> Any:
        tried.append(divisor)
        if 48 // divisor > 10:
            raise error

    assert find_fitting_fraction(attempt, 48) == 8
    assert tried == [2, 4, 8]
