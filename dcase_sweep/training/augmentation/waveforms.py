"""Augmentations of waveforms ``[batch, sample]``, before the front end, for batches of both kinds.

Each returns new tensors. Random numbers come from a NumPy generator, so that they do not depend on the device.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.augmentation.ranges import check_range
from dcase_sweep.training.clip_threads import map_clips


@dataclass(frozen=True, slots=True)
class Gain:
    """Amplifies each clip by its own gain, drawn uniformly from ±``decibels``."""

    domain: ClassVar[str] = "waveforms"
    decibels: float

    def __post_init__(self) -> None:
        check_range("decibels", self.decibels, 0)

    def __call__(self, features: Tensor, targets: Any, rng: np.random.Generator) -> tuple[Tensor, Any]:
        gains = 10 ** (rng.uniform(-self.decibels, self.decibels, (len(features), 1)) / 20)
        return features * _send(gains.astype(np.float32), features.device), targets


@dataclass(frozen=True, slots=True)
class Speed:
    """Plays each clip at its own speed, drawn uniformly, which changes its length and its pitch.

    Speed perturbation (Ko et al., "Audio augmentation for speech recognition", Interspeech 2015). Waveforms are
    resampled by their Fourier transforms, to the next length for which these are fast. A faster clip begins at a random
    time. Where nothing is left of it there is silence in batches of events, and in batches of clips it is
    repeated. Of a slower clip a random part is kept. The labels of frames follow the sound, to the nearest frame of the
    labels. The labels of whole clips do not change.

    Args:
        lowest: lowest speed; 0.9 makes a clip of 10 s last 11.1 s.
        highest: highest speed.
    """

    domain: ClassVar[str] = "waveforms"
    lowest: float = 0.9
    highest: float = 1.1

    def __post_init__(self) -> None:
        check_range("lowest", self.lowest, 0.5, 2)
        check_range("highest", self.highest, self.lowest, 2)

    def __call__(self, features: Tensor, targets: Any, rng: np.random.Generator) -> tuple[Tensor, Any]:
        clips, samples = features.shape
        lengths = _choose_lengths(samples, rng.uniform(self.lowest, self.highest, clips))
        # Where the changed clip begins: before the first sample if it is longer.
        begins = np.rint(rng.random(clips) * (samples - lengths)).astype(np.int64)
        is_repeated = not isinstance(targets, EventTargets)
        changed = features.clone()
        rows = np.flatnonzero(lengths != samples)

        def change(row: int) -> None:
            resampled = _resample(features[row], int(lengths[row]))
            _place(resampled, int(begins[row]), changed[row], is_repeated=is_repeated)

        if features.device.type == "cpu":
            map_clips(change, rows.tolist())
        else:
            for row in rows.tolist():
                change(row)
        if isinstance(targets, EventTargets):
            count = len(targets.strong)
            strong = _move(targets.strong, begins[:count] / samples, lengths[:count] / samples)
            targets = EventTargets(strong, targets.weak)
        return changed, targets


def _choose_lengths(samples: int, speeds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the lengths of clips at these speeds, each a little longer if its Fourier transform is faster then."""
    from scipy.fft import next_fast_len

    wanted = np.rint(samples / speeds).astype(int).tolist()
    return np.array([length if length == samples else next_fast_len(length) for length in wanted])


def _resample(waveform: Tensor, length: int) -> Tensor:
    """Resample a waveform ``[sample]`` to another number of samples by its Fourier transform."""
    samples = len(waveform)
    spectrum = torch.fft.rfft(waveform)
    bins = length // 2 + 1
    spectrum = torch.nn.functional.pad(spectrum, (0, max(0, bins - len(spectrum))))[:bins]
    return torch.fft.irfft(spectrum, n=length).mul_(length / samples)


def _place(clip: Tensor, begin: int, out: Tensor, *, is_repeated: bool) -> None:
    """Write a clip ``[other sample]`` at a position to ``[sample]``, and repeat it or write silence around it."""
    samples, length = len(out), len(clip)
    if begin <= 0 and begin + length >= samples:
        out.copy_(clip[-begin : samples - begin])
        return
    end = begin + length
    out[begin:end] = clip
    out[:begin] = clip[length - begin :] if is_repeated else 0
    out[end:] = clip[: samples - end] if is_repeated else 0


def _move(labels: Tensor, begins: NDArray[np.float64], lengths: NDArray[np.float64]) -> Tensor:
    """Move the frame labels ``[clip, class, frame]`` of clips that begin and last so long, in parts of a clip."""
    frames = labels.shape[2]
    centres = (np.arange(frames) + 0.5) / frames
    sources = np.floor((centres - begins[:, None]) / lengths[:, None] * frames).astype(np.int64)
    is_inside = _send((sources >= 0) & (sources < frames), labels.device)
    index = _send(sources.clip(0, frames - 1), labels.device)
    return labels.gather(2, index[:, None].expand_as(labels)) * is_inside[:, None]


def _send(values: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device, non_blocking=True)
