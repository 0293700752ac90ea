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

#: Clips in a call of the front end on a CPU, where the spectra of more would leave its cache.
_AT_ONCE = 4


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
            parts = waveforms.split(_AT_ONCE if packed.device.type == "cpu" else len(waveforms))
            return torch.cat([self.front_end(part.contiguous()) for part in parts]), targets


def make_waveform_input(experiment: Experiment) -> WaveformInput:
    """Make the input of a training with ``front_end.store=false``."""
    augmentations = make_augmentations(
        experiment.augmentation, domain="waveforms", sample_rate=experiment.task.sample_rate
    )
    return WaveformInput(build_front_end(experiment), augmentations)
