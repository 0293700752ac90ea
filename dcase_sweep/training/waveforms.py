"""Features that are computed within the training step, after augmentations of the waveforms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcase_sweep.audio.packed import unpack
from dcase_sweep.config import Experiment, build_front_end
from dcase_sweep.config.components import make_augmentations
from dcase_sweep.training.augmentation.base import Augmentation, apply_all
from dcase_sweep.training.clip_threads import map_clips


class WaveformInput:
    """Converts a batch of packed waveforms to features, on the device of the batch.

    Args:
        front_end: waveforms ``[batch, sample]`` → features ``[batch, mel, frame]``.
        augmentations: augmentations of waveforms, in this order.
    """

    def __init__(self, front_end: Callable[[Tensor], Tensor], augmentations: Sequence[Augmentation] = ()) -> None:
        self.front_end = front_end
        self.augmentations = augmentations

    def __call__(self, packed: Tensor, targets: Any, rng: np.random.Generator) -> tuple[Tensor, Any]:
        """Augment waveforms and compute their features in float32, also where the network uses less precision.

        Args:
            packed: waveforms as `audio.packed` packs them, ``[batch, sample + 2]``.
            targets: the targets of the batch, which an augmentation may change.
            rng: NumPy's generator of the epoch.
        """
        with torch.no_grad(), torch.autocast(packed.device.type, enabled=False):
            waveforms, targets = apply_all(self.augmentations, unpack(packed), targets, rng)
            return self._compute(waveforms), targets

    def _compute(self, waveforms: Tensor) -> Tensor:
        """Compute features; on a CPU clip by clip, as for the store."""
        if waveforms.device.type != "cpu":
            return self.front_end(waveforms)
        return torch.cat(map_clips(lambda clip: self.front_end(waveforms[clip : clip + 1]), range(len(waveforms))))


def make_waveform_input(experiment: Experiment) -> WaveformInput:
    """Make the input of a training with ``front_end.store=false``."""
    augmentations = make_augmentations(
        experiment.augmentation, domain="waveforms", sample_rate=experiment.task.sample_rate
    )
    return WaveformInput(build_front_end(experiment), augmentations)
