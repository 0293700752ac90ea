"""Multiplication of magnitude spectra with the filters of a front end."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

#: Number of times that filters are halved on a CPU; more parts would cost more calls than they save.
_HALVINGS = 2


@dataclass(frozen=True, slots=True)
class _Part:
    """The filters over some of the bins, and the mel bands with a weight there."""

    bins: slice
    mels: slice
    #: ``[bin, mel]``.
    weights: NDArray[np.float32]


class FilterBank:
    """Converts magnitudes ``[..., bin]`` of spectra to those of mel bands ``[..., mel]``, on one device.

    On a CPU, NumPy is used: its absolute value takes a tenth of PyTorch's time, and OpenBLAS multiplies tall, narrow
    matrices in a third of MKL's time. Most weights are 0, so only blocks with other weights are multiplied.

    Args:
        filters: ``[mel, bin]``.
        device: device of the spectra.
    """

    def __init__(self, filters: NDArray[np.float32], device: "torch.device") -> None:
        import torch

        self._mels = len(filters)
        self._on_cpu = device.type == "cpu"
        self._parts = tuple(_parts(filters.T)) if self._on_cpu else ()
        self._weights = torch.from_numpy(filters).T.to(device)

    def magnitudes(self, spectra: "torch.Tensor", out: "torch.Tensor") -> None:
        """Compute the absolute values of complex spectra."""
        import torch

        if self._on_cpu:
            np.abs(spectra.numpy(), out=out.numpy())
        else:
            torch.abs(spectra, out=out)

    def __call__(self, magnitudes: "torch.Tensor") -> "torch.Tensor":
        """Compute mel magnitudes."""
        import torch

        if not self._on_cpu:
            return magnitudes @ self._weights
        of_bins = magnitudes.numpy()
        mel = np.zeros((*of_bins.shape[:-1], self._mels), dtype=np.float32)
        for part in self._parts:
            mel[..., part.mels] += of_bins[..., part.bins] @ part.weights
        return torch.from_numpy(mel)


def _parts(filters: NDArray[np.float32]) -> Iterator[_Part]:
    """Yield blocks of ``[bin, mel]`` that contain all weights that are not 0."""
    any_mel = filters != 0
    for begin, end in _halved(any_mel, 0, len(filters), _HALVINGS):
        reached = np.flatnonzero(any_mel[begin:end].any(axis=0))
        if len(reached):
            bins, mels = slice(begin, end), slice(int(reached[0]), int(reached[-1]) + 1)
            yield _Part(bins, mels, np.ascontiguousarray(filters[bins, mels]))


def _halved(any_mel: NDArray[np.bool_], begin: int, end: int, times: int) -> Iterator[tuple[int, int]]:
    """Split the bins from ``begin`` to ``end`` where the two blocks need the fewest products, and repeat."""
    if times == 0 or end - begin < 2:
        yield begin, end
        return
    before = np.arange(1, end - begin) * _widths(any_mel[begin:end])[:-1]
    behind = np.arange(1, end - begin) * _widths(any_mel[begin:end][::-1])[:-1]
    cut = begin + 1 + int(np.argmin(before + behind[::-1]))
    yield from _halved(any_mel, begin, cut, times - 1)
    yield from _halved(any_mel, cut, end, times - 1)


def _widths(any_mel: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the mel bands between the lowest and the highest with a weight in the first 1, 2, ... bins."""
    reached = np.logical_or.accumulate(any_mel, axis=0)
    lowest, highest = reached.argmax(axis=1), any_mel.shape[1] - reached[:, ::-1].argmax(axis=1)
    return np.where(reached.any(axis=1), highest - lowest, 0)
