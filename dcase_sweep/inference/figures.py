"""A figure of one recording: its spectrogram, and the probability of each class over time."""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dcase_sweep.evaluation.figures import LARGEST_SIDE, label_bands, plain_text
from dcase_sweep.tasks.protocols import Prediction
from dcase_sweep.utils.palette import SEQUENCE, SPECTROGRAM, VERMILION

#: Largest number of columns of the spectrogram and of the probabilities in a figure.
_COLUMNS = 1500
_MOST_CLASSES = 40


class Spectrogram:
    """Collects the features of overlapping windows as one image of bounded size.

    Args:
        front_end: the front end that computes the features.
        seconds: expected length of the recording; None if unknown. The resolution decreases for longer recordings.
    """

    def __init__(self, front_end: Any, seconds: float | None) -> None:
        self._to_decibel = getattr(front_end, "to_decibel", None)
        #: Centre of each band in Hz ``[mel]``, where the front end knows it.
        self.frequencies: Sequence[float] | None = getattr(front_end, "frequencies", None)
        self._window = float(front_end.seconds)
        self._frame = self._window / front_end.shape[1]
        self._per_column = max(1, math.ceil((seconds or self._window) / self._frame / _COLUMNS))
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._counts: dict[int, int] = {}
        self._end = 0.0

    def add(self, start: float, features: NDArray[np.float32]) -> None:
        """Add the features ``[mel, frame]`` of the window that begins at ``start`` (s), except frames already added."""
        if self._to_decibel is not None:
            import torch

            features = self._to_decibel(torch.tensor(features)).numpy()
        first = max(0, round((self._end - start) / self._frame))
        for position in range(first, features.shape[1]):
            column = int((start / self._frame + position) // self._per_column)
            if column in self._sums:
                self._sums[column] += features[:, position]
            else:
                self._sums[column] = features[:, position].astype(np.float64)
            self._counts[column] = self._counts.get(column, 0) + 1
        self._end = max(self._end, start + self._window)
        if len(self._sums) > 2 * _COLUMNS:
            self._halve()

    def _halve(self) -> None:
        sums, counts = self._sums, self._counts
        self._sums, self._counts, self._per_column = {}, {}, 2 * self._per_column
        for column, total in sums.items():
            half = column // 2
            self._sums[half] = self._sums[half] + total if half in self._sums else total
            self._counts[half] = self._counts.get(half, 0) + counts[column]

    @property
    def image(self) -> NDArray[np.float64]:
        """The spectrogram ``[mel, column]``; each column is the mean of its frames."""
        return np.stack([self._sums[column] / self._counts[column] for column in sorted(self._sums)], axis=1)

    @property
    def seconds(self) -> float:
        """The end of the image, s."""
        return self._end


def draw_prediction(name: str, prediction: Prediction, classes: Sequence[str], spectrogram: Spectrogram) -> Figure:
    """Draw the spectrogram of a recording, the probabilities of the classes below it, and the segments as bars.

    Args:
        name: name of the recording, for the title.
        prediction: the prediction for the recording.
        classes: class labels in the order of the scores.
        spectrogram: the spectrogram of the recording.
    """
    shown = list(classes)[:_MOST_CLASSES]
    height = min(2.6 + 0.32 * len(shown) + 1.2, LARGEST_SIDE)
    figure = Figure(figsize=(10.0, height), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 0.32 * len(shown) + 0.6])
    image, seconds = spectrogram.image, prediction.seconds or spectrogram.seconds
    above.imshow(
        image,
        origin="lower",
        aspect="auto",
        cmap=SPECTROGRAM,
        vmin=_darkest(image),
        extent=(0, spectrogram.seconds, -0.5, len(image) - 0.5),
    )
    above.set_title(_title(name, prediction))
    label_bands(above, len(image), spectrogram.frequencies)
    scores = _shrink(np.asarray(prediction.scores)[:, : len(shown)])
    edges = np.append(_starts(prediction, len(scores)), max(seconds, 1e-9))
    mesh = below.pcolormesh(
        edges, np.arange(len(shown) + 1) - 0.5, scores.T, vmin=0, vmax=1, cmap=SEQUENCE, rasterized=True
    )
    if prediction.has_segments:
        places = {label: place for place, label in enumerate(shown)}
        for segment in prediction.segments:
            if segment.label in places:
                place = places[segment.label] - 0.38
                below.plot([segment.onset, segment.offset], [place] * 2, color=VERMILION, linewidth=3)
    below.set_yticks(range(len(shown)), [plain_text(label) for label in shown])
    below.set(xlabel="time (s)", xlim=(0, max(seconds, 1e-9)), ylim=(len(shown) - 0.5, -0.5))
    figure.colorbar(mesh, ax=below, label="probability", fraction=0.03, pad=0.01)
    return figure


def _darkest(image: NDArray[np.float64]) -> float:
    """The value that is drawn black: the lowest but that of digital silence, which would take most of the colours."""
    lowest, highest = float(image.min()), float(image.max())
    sounding = image[image > lowest + 1e-3 * (highest - lowest)]
    return float(np.percentile(sounding, 1)) if len(sounding) else lowest


def _title(name: str, prediction: Prediction) -> str:
    """Return the name of the file and, if there are no bars, the predicted labels."""
    title = plain_text(PurePath(name).name, 50)
    if not prediction.labels:
        return f"{title}: nothing detected"
    return title if prediction.has_segments else f"{title}: {plain_text(', '.join(prediction.labels), 40)}"


def _starts(prediction: Prediction, parts: int) -> NDArray[np.float64]:
    """Return the start of each column of the scores, s."""
    starts = np.asarray(prediction.starts, dtype=np.float64)
    group = math.ceil(len(starts) / _COLUMNS) if len(starts) else 1
    return starts[::group][:parts]


def _shrink(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce scores to at most `_COLUMNS` rows ``[part, class]``, each the maximum of a group."""
    group = math.ceil(len(scores) / _COLUMNS)
    if group <= 1:
        return scores
    padded = np.concatenate([scores, np.repeat(scores[-1:], -len(scores) % group, axis=0)])
    return padded.reshape(-1, group, scores.shape[1]).max(axis=1)
