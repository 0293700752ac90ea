"""Quantisation noise of a full-integer file at each layer."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.export.flatbuffer import operations
from dcase_sweep.export.runtimes import LiteRTRuntime

_NAMES = {
    "SUB": "normalisation: minus mean",
    "MUL": "normalisation: times 1/deviation",
    "DIV": "normalisation: by deviation",
    "CONV_2D": "convolution",
    "DEPTHWISE_CONV_2D": "convolution by channel",
    "MAX_POOL_2D": "max-pooling",
    "FULLY_CONNECTED": "dense",
    "SOFTMAX": "softmax",
}


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """The quantisation noise of a layer's output.

    Attributes:
        shape: shape of the output.
        decibel: signal-to-quantisation-noise ratio (dB): the variance of the float file's output divided by the mean
            square of the difference of the int8 file's output from it.
        lost: decrease from the layer before (dB); negative if pooling or a dense layer averages noise out.
    """

    name: str
    shape: tuple[int, ...]
    decibel: float
    lost: float


def layer_noise(
    float_file: bytes,
    int8_file: bytes,
    clips: NDArray[np.float32],
    *,
    on_clip: Callable[[], None] = lambda: None,
) -> tuple[LayerNoise, ...]:
    """Measure the noise of each layer of an int8 file, in the order of the network from the input on.

    Args:
        float_file: the float32 file of the same network.
        int8_file: the full-integer file of the same network.
        clips: log-mel maps ``[clip, mel, frame]``.
        on_clip: called after each clip.

    Raises:
        ValueError: if the files do not have the same operations.
    """
    exact, coarse = operations(float_file), operations(int8_file)
    kinds = [operation.kind for operation in exact]
    if kinds != [operation.kind for operation in coarse]:
        raise ValueError(f"the int8 file has the operations {[o.kind for o in coarse]}; expected {kinds}")
    runtimes = [LiteRTRuntime(content, keep_tensors=True) for content in (float_file, int8_file)]
    moments = [_Moments() for _ in range(len(exact) + 1)]
    for clip in clips:
        for runtime in runtimes:
            runtime(clip)
        moments[0].add(clip, runtimes[1].seen().reshape(clip.shape))
        for moment, here, there in zip(moments[1:], exact, coarse, strict=True):
            moment.add(runtimes[0].tensor(here.output), runtimes[1].tensor(there.output))
        on_clip()
    names = ["input", *_numbered([_NAMES.get(kind, kind.lower().replace("_", " ")) for kind in kinds])]
    shapes = [clips.shape[1:], *(operation.shape for operation in exact)]
    decibels = [moment.decibel for moment in moments]
    before = [decibels[0], *decibels[:-1]]
    return tuple(
        LayerNoise(name, shape, decibel, previous - decibel)
        for name, shape, decibel, previous in zip(names, shapes, decibels, before, strict=True)
    )


class _Moments:
    """Sums over clips of a signal, its square, and the square of its noise."""

    def __init__(self) -> None:
        self.count, self.sum, self.square, self.noise = 0, 0.0, 0.0, 0.0

    def add(self, signal: NDArray[np.float32], noisy: NDArray[np.float32]) -> None:
        exact = signal.astype(np.float64)
        self.count += exact.size
        self.sum += float(exact.sum())
        self.square += float(np.square(exact).sum())
        self.noise += float(np.square(exact - noisy).sum())

    @property
    def decibel(self) -> float:
        """Signal-to-noise ratio (dB); infinite without noise."""
        variance = self.square / self.count - (self.sum / self.count) ** 2
        noise = self.noise / self.count
        return float(10 * np.log10(variance / noise)) if noise > 0 and variance > 0 else float("inf")


def _numbered(names: list[str]) -> list[str]:
    """Append a number to each name that occurs more than once."""
    often = {name for name, count in Counter(names).items() if count > 1}
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if name in often else name)
    return numbered
