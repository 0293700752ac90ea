"""Interpretation of the outputs of a detector as sound events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_front_end, clip_seconds, event_rules
from dcase_sweep.evaluation.events import decode, filter_scores
from dcase_sweep.models.crnn import Predictions
from dcase_sweep.tasks.prediction import DetectedEvent, EventPrediction, Scores
from dcase_sweep.tasks.predictors import check_finite, rank


class _Detector(nn.Module):
    """The scaling of the front end, followed by the network."""

    def __init__(self, front_end: Any, network: nn.Module) -> None:
        super().__init__()
        self.normalise = front_end.normalise
        self.network = network

    def forward(self, features: Tensor) -> Predictions:
        """Compute probabilities for mel amplitudes ``[batch, mel, frame]``."""
        return Predictions(*self.network(self.normalise(features)))


class EventPredictor:
    """The predictor of sound event detection. The input of its `network` are unscaled features of the front end.

    In overlapping windows, the probability of a frame is the weighted mean over the windows. The weight is the distance
    of the frame from the ends of the window.

    Args:
        experiment: the experiment that trained the network.
        network: scaled features ``[batch, mel, frame]`` → `models.crnn.Predictions`, or a pair of these two tensors.
        classes: class labels in the order of the outputs.
    """

    def __init__(self, experiment: Experiment, network: nn.Module, classes: Sequence[str]) -> None:
        assert experiment.mean_teacher is not None
        front_end = build_front_end(experiment)
        self.classes = tuple(classes)
        #: Samples between the frames of the probabilities. Windows start at multiples of it.
        self.grid = int(network.frame_stride * front_end.hop)
        self.network: nn.Module = _Detector(front_end, network).eval()
        self.hop = self.grid / front_end.sample_rate
        self.seconds = clip_seconds(experiment)
        self.median_filter = experiment.mean_teacher.median_filter
        self.threshold = float(event_rules(experiment.evaluation).f1_threshold)

    def __call__(self, features: Tensor) -> EventPrediction:
        """Predict the sound events of one clip."""
        joiner = self.begin(round(self.grid / self.hop))
        joiner.add([0], features)
        return joiner.finish(None)

    def begin(self, sample_rate: int, threshold: float | None = None) -> "_EventJoiner":
        """Return an object that joins the windows of a recording."""
        return _EventJoiner(self, sample_rate, self.threshold if threshold is None else threshold)

    def decode(self, scores: Scores, threshold: float, seconds: float) -> tuple[DetectedEvent, ...]:
        """Return the events for probabilities ``[frame, class]`` by onset; they end within the recording."""
        filtered = filter_scores(
            {"clip": scores}, labels=list(self.classes), hop=self.hop, median_length=self.median_filter
        )
        column = {label: index for index, label in enumerate(self.classes)}
        found = []
        for event in decode(filtered, [threshold]).events_in("clip"):
            first, last = round(event.onset / self.hop), round(event.offset / self.hop)
            confidence = float(scores[first:last, column[event.label]].mean())
            found.append(DetectedEvent(event.onset, min(event.offset, seconds), event.label, confidence))
        return tuple(sorted(found, key=lambda event: (event.onset, event.offset, event.event_label)))


class _EventJoiner:
    def __init__(self, predictor: EventPredictor, sample_rate: int, threshold: float) -> None:
        self._predictor = predictor
        self._sample_rate = sample_rate
        self._threshold = threshold
        #: Weighted sums ``[frame, class]`` and sums of the weights ``[frame]``, with space for further frames.
        self._sum = np.zeros((0, len(predictor.classes)), np.float32)
        self._weight = np.zeros(0, np.float32)
        self._frames = 0
        #: Scores of the first window, which is the only one of a recording with the length of a clip.
        self._only: Scores | None = None
        self._clip: NDArray[np.float32] | None = None

    def add(self, starts: Sequence[int], features: Tensor) -> None:
        with torch.inference_mode():
            found = self._predictor.network(features)
        strong, weak = found.strong.float().cpu().numpy(), found.weak.float().cpu().numpy()
        for scores in (strong, weak):
            check_finite(scores)
        clips = weak.max(axis=0)
        self._clip = clips if self._clip is None else np.maximum(self._clip, clips)
        for start, scores in zip(starts, strong, strict=True):
            self._add_window(start // self._predictor.grid, scores.T)

    def _add_window(self, first: int, scores: Scores) -> None:
        self._only = scores if not self._frames else None
        frames = len(scores)
        self._frames = max(self._frames, first + frames)
        self._reserve(self._frames)
        rising = np.arange(1, frames + 1, dtype=np.float32)
        weight = np.minimum(rising, rising[::-1])
        self._sum[first : first + frames] += weight[:, None] * scores
        self._weight[first : first + frames] += weight

    def _reserve(self, frames: int) -> None:
        if frames > len(self._weight):
            more = max(frames, 2 * len(self._weight)) - len(self._weight)
            self._sum = np.concatenate([self._sum, np.zeros((more, self._sum.shape[1]), np.float32)])
            self._weight = np.concatenate([self._weight, np.zeros(more, np.float32)])

    def finish(self, samples: int | None) -> EventPrediction:
        assert self._clip is not None
        joined = self._sum[: self._frames] / self._weight[: self._frames, None]
        scores = joined if self._only is None else self._only
        predictor = self._predictor
        if samples is not None:  # frames after the end of a short recording are padding
            scores = scores[: -(-samples // predictor.grid)]
        seconds = predictor.seconds if samples is None else samples / self._sample_rate
        events = predictor.decode(scores, self._threshold, seconds)
        return EventPrediction(events, rank(predictor.classes, self._clip), scores, predictor.hop, seconds)
