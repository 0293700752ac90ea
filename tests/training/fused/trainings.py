"""Tiny trainings, by themselves and in a group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from torch import nn

from dcase_sweep.config import Experiment, Hardware, Monitor
from dcase_sweep.config.schemas import Training
from dcase_sweep.models.cnn import CNN
from dcase_sweep.training.batches import Batches, Clips, MappedClips
from dcase_sweep.training.fitting import Fitted, fit
from dcase_sweep.training.fused.coordinator import Coordinator
from dcase_sweep.training.fused.random_state import RANDOM
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.scenes.module import SceneModule
from dcase_sweep.training.step_module import StepModule
from dcase_sweep.utils.turns import STATES, Turn

SHAPE, CLASSES, EPOCHS, CLIPS = (4, 8), 3, 3, 14  # three batches of four and one of two
LOSS = Monitor("validation/loss", "min")
COSINE = {"_target_": "dcase_sweep.training.schedules.cosine", "interval": "step"}


def make_network(units: int = 6, dropout: float = 0.2) -> nn.Module:
    blocks = [{"filters": 4, "kernel": [3, 3], "pool": [2, 2], "dropout": dropout}] * 2
    return CNN(input_shape=SHAPE, classes=CLASSES, blocks=blocks, units=units, dropout=dropout)


@dataclass
class Tiny:
    """A training and what it has reported."""

    folder: Path
    seed: int = 0
    network: Callable[[], nn.Module] = make_network
    optimizer: dict[str, Any] = field(default_factory=lambda: {"_target_": "torch.optim.Adam", "lr": 0.01})
    augmentations: Sequence[Any] = ()
    epochs: int = EPOCHS
    resume: Path | None = None
    graphs: bool = False
    channels_last: bool = True
    precision: str = "32-true"
    callbacks: dict[str, Any] = field(default_factory=dict)
    clips: type[Clips] | type[MappedClips] = Clips
    kind: type[SceneModule] = SceneModule
    monitor: Monitor = LOSS
    on_batch: Callable[[int], None] | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    fitted: Fitted | None = None
    module: StepModule = field(init=False, repr=False)
    error: BaseException | None = None

    def run(self) -> None:
        """Train; an error is kept."""
        try:
            self._fit()
        except Exception as error:
            self.error = error

    def _fit(self) -> None:
        pytorch_lightning.seed_everything(self.seed, verbose=False)
        self.module = self.make_module()
        self.module.graphs = self.graphs
        experiment = Experiment(
            training=Training(epochs=self.epochs, batch_size=4, best_after_fraction=0.0),
            # With several threads sums are rounded differently, and the tests compare trainings to 2e-5.
            hardware=Hardware(accelerator="cpu", precision=self.precision, threads=1),
            optimizer=SimpleNamespace(**self.optimizer),
            callbacks=self.callbacks,
            augmentation={
                f"{place}": {"_target_": f"{type(each).__module__}.{type(each).__qualname__}"}
                for place, each in enumerate(self.augmentations)
            },
        )
        batches, validation = self.make_batches()
        self.fitted = fit(
            self.module,
            batches,
            validation,
            experiment,
            self.folder,
            monitor=self.monitor,
            extra={},
            on_epoch=lambda epoch, metrics: self.history.append(metrics),
            resume=self.resume,
        )

    def make_module(self) -> StepModule:
        module = self.kind(
            self.network(),
            classes=CLASSES,
            mean=torch.full(SHAPE[:1], 0.5),
            deviation=torch.full(SHAPE[:1], 1.5),
            optimization=Optimization(self.optimizer, COSINE, epochs=EPOCHS, steps_per_epoch=4),
            loss=nn.CrossEntropyLoss(),
            augmentations=self.augmentations,
            seed=self.seed,
        )
        if self.channels_last:
            module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module

    def make_batches(self) -> tuple[Any, Any]:
        features = torch.randn(CLIPS, *SHAPE, generator=torch.Generator().manual_seed(9)).numpy()
        targets = torch.arange(CLIPS).numpy() % CLASSES
        whole = features + targets.astype(np.float32)[:, None, None]
        clips = self.clips(whole, torch.arange(CLIPS).numpy(), targets)
        return Batches(clips, 4, shuffle_seed=self.seed, on_batch=self.on_batch), Batches(clips, 4)


def alone(training: Tiny) -> Tiny:
    """Run a training by itself."""
    training.run()
    return training


def together(*trainings: Tiny, max_jobs: int | None = None, stacked: bool | None = True) -> list[Turn]:
    """Run trainings as the jobs of one launch."""
    turns = [Turn(each.run, (*STATES, RANDOM), name=str(number)) for number, each in enumerate(trainings)]
    try:
        Coordinator(turns, max_jobs, stacked).run()
    finally:
        assert all(turn.has_ended or turn.ident is None for turn in turns)
    return turns
