"""Interpretation of the outputs of networks as predictions for clips, and for windows of longer recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_front_end, clip_seconds
from dcase_sweep.tasks.prediction import ClipPrediction, ScenePrediction, Segment, TagPrediction
from dcase_sweep.tasks.protocols import Joiner, Predictor
from dcase_sweep.utils.errors import UserError


class NetworkPredictor:
    """Returns the outputs of a network unchanged. The default of tasks without their own predictor.

    Args:
        network: a network whose input are the features of the front end ``[batch, mel, frame]``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def __call__(self, features: Tensor) -> Any:
        """Return the outputs of the network for one clip."""
        with torch.inference_mode():
            return self.network(features)


class Standardise(nn.Module):
    """Standardises each band by a mean and a standard deviation.

    Args:
        state: state of a checkpoint with ``mean`` and ``deviation`` ``[mel, 1]``.
        bands: number of bands of the features.
        where: the user's name for the checkpoint, for messages.

    Raises:
        UserError: if the state does not contain them.
    """

    def __init__(self, state: Mapping[str, Tensor], bands: int, where: str) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        for name in ("mean", "deviation"):
            found = state.get(name)
            if found is None or list(found.shape) != [bands, 1] or not found.is_floating_point():
                shape = "missing" if found is None else f"{list(found.shape)} of {found.dtype}"
                raise UserError(f"{where}: {name} of its features is {shape}; expected numbers {[bands, 1]}")
            self.register_buffer(name, found.clone())
        if not bool((self.deviation > 0).all()):
            raise UserError(f"{where}: a deviation of its features is not positive; expected the run's own file")

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised features ``[batch, mel, frame]``."""
        return (features - self.mean) / self.deviation


class ClipPredictor:
    """A predictor for classifiers of whole clips, which can also be used by your own tasks.

    The probabilities of a recording that is longer than a clip are averaged over its windows.

    Args:
        network: features of the front end ``[batch, mel, frame]`` → probabilities ``[batch, class]``.
        classes: class labels in the order of the probabilities.
        seconds: length of a clip, s.
        threshold: classes with a larger probability are the labels; None = the label is the most probable class.
    """

    #: Windows may start at any sample.
    grid = 1

    def __init__(
        self, network: nn.Module, classes: Sequence[str], *, seconds: float, threshold: float | None = None
    ) -> None:
        self.network = network.eval()
        self.classes = tuple(classes)
        self.seconds = seconds
        self.threshold = threshold

    def __call__(self, features: Tensor) -> ClipPrediction:
        """Predict one clip."""
        joiner = self.begin(1)
        joiner.add([0], features)
        return joiner.finish(0)

    def begin(self, sample_rate: int, threshold: float | None = None) -> "_ClipJoiner":
        """Return an object that joins the windows of a recording.

        Raises:
            UserError: for a threshold, if recordings have one label.
        """
        if threshold is not None and self.threshold is None:
            raise UserError(f"threshold={threshold:g}: no effect, because recordings have one label; leave it out")
        return _ClipJoiner(self, sample_rate, self.threshold if threshold is None else threshold)

    def name(self, probabilities: NDArray[np.float64], threshold: float | None) -> list[tuple[str, float]]:
        """Return the labels for probabilities ``[class]`` and the probability of each, the most probable first."""
        order = np.argsort(-probabilities, kind="stable")
        chosen = order[:1] if threshold is None else [each for each in order if probabilities[each] > threshold]
        return [(self.classes[index], float(probabilities[index])) for index in chosen]


class _ClipJoiner:
    def __init__(self, predictor: ClipPredictor, sample_rate: int, threshold: float | None) -> None:
        self._predictor = predictor
        self._sample_rate = sample_rate
        self._threshold = threshold
        self._starts: list[float] = []
        self._scores: list[NDArray[np.float64]] = []

    def add(self, starts: Sequence[int], features: Tensor) -> None:
        with torch.inference_mode():
            scores = self._predictor.network(features).cpu().double().numpy()
        check_finite(scores)
        self._scores += list(scores)
        self._starts += [start / self._sample_rate for start in starts]

    def finish(self, samples: int) -> ClipPrediction:
        scores, seconds = np.stack(self._scores), samples / self._sample_rate or self._predictor.seconds
        segments = [
            Segment(start, min(start + self._predictor.seconds, seconds), label, confidence)
            for start, window in zip(self._starts, scores, strict=True)
            for label, confidence in self._predictor.name(window, self._threshold)
        ]
        mean = scores.mean(axis=0)
        shared: dict[str, Any] = {
            "probabilities": rank(self._predictor.classes, mean),
            "segments": tuple(segments),
            "scores": scores.astype(np.float32),
            "starts": np.array(self._starts),
            "seconds": seconds,
        }
        labels = tuple(label for label, _ in self._predictor.name(mean, self._threshold))
        if self._threshold is None:
            return ScenePrediction(label=labels[0], **shared)
        return TagPrediction(labels=labels, **shared)


class ScenePredictor(ClipPredictor):
    """The predictor of scene classification. Its `network` maps features of the front end to probabilities.

    Args:
        experiment: the experiment that trained the network.
        network: normalised features ``[batch, mel, frame]`` → logits ``[batch, class]``.
        state: state of the checkpoint with ``mean`` and ``deviation`` ``[mel, 1]``.
        classes: class labels in the order of the logits.
        where: the user's name for the run, for messages.

    Raises:
        UserError: if the state has no normalisation for the bands of the front end.
    """

    def __init__(
        self,
        experiment: Experiment,
        network: nn.Module,
        state: Mapping[str, Tensor],
        classes: Sequence[str],
        where: str,
    ) -> None:
        bands = build_front_end(experiment).shape[0]
        whole = nn.Sequential(Standardise(state, bands, where), network, nn.Softmax(dim=1))
        super().__init__(whole, classes, seconds=clip_seconds(experiment))


@dataclass(frozen=True, slots=True)
class WindowPrediction:
    """The prediction for a window of a recording by a predictor of single clips.

    Attributes:
        onset: start of the window, s.
        offset: end of the window, s.
        prediction: the result of the predictor.
    """

    onset: float
    offset: float
    prediction: Any


class EachWindow:
    """Collects separate predictions for windows, for a predictor that cannot join them.

    Args:
        predictor: a predictor of single clips.
        sample_rate: sample rate, Hz.
        seconds: length of a window, s.
    """

    def __init__(self, predictor: Predictor, sample_rate: int, seconds: float) -> None:
        self._predictor = predictor
        self._sample_rate = sample_rate
        self._seconds = seconds
        self._found: list[tuple[float, Any]] = []

    def add(self, starts: Sequence[int], features: Tensor) -> None:
        """Predict each window separately."""
        for start, window in zip(starts, features.split(1), strict=True):
            self._found.append((start / self._sample_rate, self._predictor(window)))

    def finish(self, samples: int) -> Any:
        """Return the prediction of a single window, or a tuple of `WindowPrediction`."""
        if len(self._found) == 1:
            return self._found[0][1]
        end = samples / self._sample_rate
        return tuple(WindowPrediction(start, min(start + self._seconds, end), each) for start, each in self._found)


def join(predictor: Any, sample_rate: int, seconds: float, threshold: float | None = None) -> Joiner:
    """Return an object that joins the windows of a recording.

    Args:
        predictor: predictor of the task. Without a method ``begin``, windows are predicted separately.
        sample_rate: sample rate, Hz.
        seconds: length of a window, s.
        threshold: threshold of detection; None = that of the predictor.

    Raises:
        UserError: for a threshold that has no effect on the predictor.
    """
    if hasattr(predictor, "begin"):
        joiner: Joiner = predictor.begin(sample_rate, threshold)
        return joiner
    if threshold is not None:
        raise UserError(f"threshold={threshold:g}: not known to {type(predictor).__name__}; leave it out")
    return EachWindow(predictor, sample_rate, seconds)


def check_finite(scores: NDArray[np.floating[Any]]) -> None:
    """Refuse scores of a network whose weights are damaged; a threshold would find nothing in them.

    Raises:
        UserError: if a score is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise UserError(
            "the network's scores are NaN or infinite; expected probabilities: train it again, or use another "
            "checkpoint"
        )


def rank(classes: Sequence[str], probabilities: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return class → probability, the most probable class first."""
    pairs = zip(classes, map(float, probabilities), strict=True)
    return dict(sorted(pairs, key=lambda pair: -pair[1]))
