"""Windowed frames of waveforms, in buffers that are allocated once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

#: Each sample minus this fraction of the one before it, which flattens the spectra of everyday sounds.
PRE_EMPHASIS = 0.95


@dataclass(frozen=True, slots=True)
class Window:
    """The window of frames, on one device."""

    #: ``[window + 1]``: the window, and 0.
    values: "torch.Tensor"
    #: The difference of the window from sample to sample, times the pre-emphasis ``[window + 1]``.
    rise: "torch.Tensor"

    @classmethod
    def of(cls, window: "torch.Tensor", device: "torch.device") -> "Window":
        """Compute the constants of a window ``[window]`` in double precision."""
        import torch

        values = np.append(window.numpy(), 0)
        rise = PRE_EMPHASIS * np.diff(values, prepend=0)
        return cls(*(torch.from_numpy(array).float().to(device) for array in (values, rise)))


@dataclass(frozen=True, slots=True)
class _Part:
    """Views of the buffers for some consecutive frames."""

    #: Samples, and the samples one position before ``[batch, sample]``.
    now: "torch.Tensor"
    before: "torch.Tensor"
    before_in_frames: "torch.Tensor"
    emphasised: "torch.Tensor"
    emphasised_in_frames: "torch.Tensor"
    #: Windowed frames ``[batch, frame, window + 1]``, and the input of the transform ``[batch, frame, n_fft]``.
    windowed: "torch.Tensor"
    transformed: "torch.Tensor"


class Frames:
    """Pre-emphasised, windowed frames of waveforms of one shape on one device.

    Frames are centred on multiples of the hop. The position of a frame in the input of the transform does not change
    magnitudes, so it starts at the first sample, and the samples after the window stay 0. Buffers and views are created
    once, because threads that create hundreds of views wait for each other's hold on Python's lock.

    Args:
        waveforms: waveforms ``[batch, sample]`` of the expected shape, on the device.
        window: the window.
        n_fft: number of samples of the transform.
        hop: number of samples from frame to frame.
        frames: number of frames.
        chunk_size: number of frames that are cut at a time.
        pad_mode: ``reflect`` or ``constant`` (zeros), padding of a waveform.
    """

    def __init__(
        self,
        waveforms: "torch.Tensor",
        window: Window,
        *,
        n_fft: int,
        hop: int,
        frames: int,
        chunk_size: int,
        pad_mode: str,
    ) -> None:
        import torch

        self._window = window
        batch, samples = waveforms.shape
        taken, half = len(window.values), n_fft // 2
        # Half a frame and one sample before, half a frame after.
        padded = waveforms.new_zeros(batch, samples + 2 * half + 1)
        self._inside = padded[:, half + 1 : half + 1 + samples]
        self._margins: list[tuple[torch.Tensor, torch.Tensor]] = []
        if pad_mode == "reflect":
            margins = padded[:, : half + 1], padded[:, half + 1 + samples :]
            ranges = (half + 1, 0), (samples - 2, samples - 2 - half)
            mirrored = [torch.arange(*each, -1, device=waveforms.device) for each in ranges]
            self._margins = list(zip(margins, mirrored, strict=True))
        emphasised = waveforms.new_empty(batch, (chunk_size - 1) * hop + taken)
        windowed = waveforms.new_zeros(batch, chunk_size, max(n_fft, taken))
        begin = (n_fft - taken + 1) // 2
        self._parts = []
        for first in range(0, frames, chunk_size):
            count = min(chunk_size, frames - first)
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
        """Yield frames ``[batch, frame, n_fft]``; each is valid until the next one is requested."""
        import torch

        self._pad(waveforms)
        for part in self._parts:
            torch.sub(part.now, part.before, alpha=PRE_EMPHASIS, out=part.emphasised)
            # w[n] x[n] - a w[n-1] x[n-1], computed from the difference of x, so that only that is rounded.
            torch.mul(part.emphasised_in_frames, self._window.values, out=part.windowed)
            part.windowed.addcmul_(part.before_in_frames, self._window.rise)
            if part.windowed.shape[2] > part.transformed.shape[2]:
                # The transform is periodic: the sample after the last is the first.
                part.transformed[..., 0] += part.windowed[..., -1]
            yield part.transformed

    def _pad(self, waveforms: "torch.Tensor") -> None:
        """Copy waveforms into the padded buffer; PyTorch's reflection takes eight times as long."""
        import torch

        self._inside.copy_(waveforms)
        for margin, mirrored in self._margins:
            torch.index_select(waveforms, 1, mirrored, out=margin)
