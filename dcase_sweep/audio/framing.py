"""Windowed frames of waveforms, cut in buffers that are made once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

#: Each sample is lessened by this share of the one before it, which levels the spectra of everyday sounds.
PRE_EMPHASIS = 0.95


@dataclass(frozen=True, slots=True)
class Window:
    """What frames are multiplied with, on one device."""

    #: ``[window + 1]``: the window, and 0.
    values: "torch.Tensor"
    #: What the window rises by from sample to sample, times the pre-emphasis ``[window + 1]``.
    rise: "torch.Tensor"

    @classmethod
    def of(cls, window: "torch.Tensor", device: "torch.device") -> "Window":
        """The constants of a window ``[window]`` in double precision."""
        import torch

        values = np.append(window.numpy(), 0)
        rise = PRE_EMPHASIS * np.diff(values, prepend=0)
        return cls(*(torch.from_numpy(array).float().to(device) for array in (values, rise)))


@dataclass(frozen=True, slots=True)
class _Part:
    """Views of the buffers for a few frames in a row."""

    #: Samples, and those one before them ``[batch, sample]``.
    now: "torch.Tensor"
    before: "torch.Tensor"
    before_in_frames: "torch.Tensor"
    emphasised: "torch.Tensor"
    emphasised_in_frames: "torch.Tensor"
    #: What the window takes ``[batch, frame, window + 1]``, and what the transform does ``[batch, frame, n_fft]``.
    windowed: "torch.Tensor"
    transformed: "torch.Tensor"


class Frames:
    """Pre-emphasised, windowed frames of waveforms of one shape on one device.

    Frames are centred on multiples of the hop. Where in the transform's samples a frame begins changes no magnitude:
    it begins at the first, and what the window leaves of them stays 0 from the first frames to the last. Buffers and
    their views are made once: two threads that make views by the hundred wait for each other's hold on Python's lock.

    Args:
        waveforms: some of the shape ``[batch, sample]``, on the device.
        window: what frames are multiplied with.
        n_fft: samples of the transform.
        hop: samples from frame to frame.
        frames: how many.
        at_once: how many of them are cut at a time.
        pad_mode: ``reflect`` or ``constant`` (zeros), beyond the ends of a waveform.
    """

    def __init__(
        self,
        waveforms: "torch.Tensor",
        window: Window,
        *,
        n_fft: int,
        hop: int,
        frames: int,
        at_once: int,
        pad_mode: str,
    ) -> None:
        import torch

        self._window = window
        batch, samples = waveforms.shape
        taken, half = len(window.values), n_fft // 2
        # Half a frame before, one sample more, and half a frame behind.
        padded = waveforms.new_zeros(batch, samples + 2 * half + 1)
        self._inside = padded[:, half + 1 : half + 1 + samples]
        self._margins: list[tuple[torch.Tensor, torch.Tensor]] = []
        if pad_mode == "reflect":
            mirrored = torch.arange(half + 1, 0, -1), torch.arange(samples - 2, samples - 2 - half, -1)
            margins = padded[:, : half + 1], padded[:, half + 1 + samples :]
            self._margins = [(m, of.to(waveforms.device)) for m, of in zip(margins, mirrored, strict=True)]
        emphasised = waveforms.new_empty(batch, (at_once - 1) * hop + taken)
        windowed = waveforms.new_zeros(batch, at_once, max(n_fft, taken))
        begin = (n_fft - taken + 1) // 2
        self._parts = []
        for first in range(0, frames, at_once):
            count = min(at_once, frames - first)
            start, length = begin + first * hop, (count - 1) * hop + taken
            before = padded[:, start : start + length]
            self._parts.append(
                _Part(
                    padded[:, start + 1 : start + 1 + length],
                    before,
                    before.unfold(1, taken, hop),
                    emphasised[:, :length],
                    emphasised[:, :length].unfold(1, taken, hop),
                    windowed[:, :count, :taken],
                    windowed[:, :count, :n_fft],
                )
            )

    def cut(self, waveforms: "torch.Tensor") -> "Iterator[torch.Tensor]":
        """The next frames ``[batch, frame, n_fft]``, which stay as they are until others are asked for."""
        import torch

        self._pad(waveforms)
        for part in self._parts:
            torch.sub(part.now, part.before, alpha=PRE_EMPHASIS, out=part.emphasised)
            # w[n] x[n] - a w[n-1] x[n-1], arranged so that only what is left of x is rounded.
            torch.mul(part.emphasised_in_frames, self._window.values, out=part.windowed)
            part.windowed.addcmul_(part.before_in_frames, self._window.rise)
            if part.windowed.shape[2] > part.transformed.shape[2]:
                # To the transform the sample after the last is the first.
                part.transformed[..., 0] += part.windowed[..., -1]
            yield part.transformed

    def _pad(self, waveforms: "torch.Tensor") -> None:
        """Copy waveforms between their margins; PyTorch's own reflection takes eight times as long."""
        import torch

        self._inside.copy_(waveforms)
        for margin, mirrored in self._margins:
            torch.index_select(waveforms, 1, mirrored, out=margin)
