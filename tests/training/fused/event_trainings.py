"""Tiny trainings of a mean teacher, by themselves and in a group."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dcase_sweep.config import MeanTeacher, Monitor
from dcase_sweep.models.crnn import CRNN
from dcase_sweep.training.mean_teacher.batches import MelBatches, MelClips, StoredFeatures
from dcase_sweep.training.mean_teacher.module import MeanTeacherModule, ValidationScores
from dcase_sweep.training.mean_teacher.sampling import BatchComposition, MultiSourceBatchSampler
from dcase_sweep.training.optimization import Optimization
from tests.training.fused.trainings import Tiny

MELS, FRAMES, LABELS, STEPS = 8, 16, 3, 4
OBJECTIVE = Monitor("validation/objective", "max")
RAMP = {"_target_": "dcase_sweep.training.schedules.constant", "interval": "step", "ramp_epochs": 1}
#: Clips of each kind, and those that are validated.
STRONG, WEAK, UNLABELLED, VALIDATED = (np.arange(start, end) for start, end in ((0, 8), (8, 13), (13, 21), (21, 27)))


def make_student(dropout: float = 0.5, units: int = 4) -> nn.Module:
    return CRNN(
        input_shape=(MELS, FRAMES),
        classes=LABELS,
        filters=(4,),
        pools=((4, 2),),
        dropout=dropout,
        recurrent_units=units,
        recurrent_layers=1,
    )


def make_settings(**changed: Any) -> MeanTeacher:
    plain = {"strong": 2, "weak": 1, "unlabelled": 2, "ramp_epochs": 1, "consistency_weight": 2.0, "ema_decay": 0.9}
    return MeanTeacher(**{**plain, "median_filter": 1, **changed})


@dataclass
class TinyEvents(Tiny):
    """A training of a mean teacher, with five clips in a batch and four batches in an epoch."""

    network: Callable[[], nn.Module] = make_student
    settings: MeanTeacher = field(default_factory=make_settings)
    monitor: Monitor = OBJECTIVE

    def make_module(self) -> MeanTeacherModule:
        return MeanTeacherModule(
            self.network(),
            settings=self.settings,
            optimization=Optimization(self.optimizer, RAMP, epochs=3, steps_per_epoch=STEPS),
            loss=nn.BCELoss(),
            normalise=torch.log1p,
            evaluate=_evaluate,
            augmentations=self.augmentations,
            seed=self.seed,
            teacher_rows=VALIDATED.tolist(),
        )

    def make_batches(self) -> tuple[MelBatches, MelClips]:
        generator = np.random.default_rng(9)
        features = generator.uniform(0, 5, (27, MELS, FRAMES)).astype(np.float32)
        strong = generator.integers(0, 2, (len(STRONG), LABELS, FRAMES // 2)).astype(np.float32)
        weak = generator.integers(0, 2, (len(WEAK), LABELS)).astype(np.float32)
        composition = BatchComposition(self.settings.strong, self.settings.weak, self.settings.unlabelled)
        sampler = MultiSourceBatchSampler(
            strong=len(STRONG),
            weak=len(WEAK),
            unlabelled=len(UNLABELLED),
            composition=composition,
            seed=self.seed,
        )
        source, rows = StoredFeatures(features), (STRONG, WEAK, UNLABELLED)
        batches = MelBatches(source, rows, strong=strong, weak=weak, sampler=sampler, on_batch=self.on_batch)
        return batches, MelClips(source, VALIDATED, 4)


def _evaluate(scores: ValidationScores) -> dict[str, float]:
    """Return how far the probabilities of student and teacher are from one half."""
    strong, weak = (np.stack([*each.values()]) for each in (scores.strong, scores.teacher_weak))
    return {
        "validation/objective": float(np.abs(strong - 0.5).mean()),
        "validation/of_teacher": float(np.abs(weak - 0.5).mean()),
    }
