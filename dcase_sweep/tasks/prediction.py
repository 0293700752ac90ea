"""Predictions of trained networks for single clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_front_end, event_rules
from dcase_sweep.data.events import SoundEvent
from dcase_sweep.evaluation.events import decode, filter_scores
from dcase_sweep.utils.errors import UserError


@dataclass(frozen=True, slots=True)
class ScenePrediction:
    """The scene of a clip.

    Attributes:
        label: the most probable scene.
        probabilities: probability of each scene, in descending order; they sum to 1.
    """

    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class EventPrediction:
    """The sound events of a clip.

    Attributes:
        events: events with onset and offset in s, sorted by onset, from ``evaluation.f1_threshold`` and the median
            filter.
        probabilities: probability that each class occurs in the clip, in descending order.
        scores: probabilities ``[frame, class]`` before the median filter.
        hop: time between frames of the scores, s.
    """

    events: tuple[SoundEvent, ...]
    probabilities: dict[str, float]
    scores: NDArray[np.float32] = field(repr=False)
    hop: float = field(repr=False)


class NetworkPredictor:
    """Returns the outputs of a network unchanged. Used for tasks without their own predictor.

    Args:
        network: a network on the front end's features ``[batch, mel, frame]``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def __call__(self, features: Tensor) -> Any:
        """Return the network's outputs for one clip."""
        with torch.inference_mode():
            return self.network(features)


class Standardise(nn.Module):
    """Subtracts the mean of each band and divides by its standard deviation.

    Args:
        state: the state of a checkpoint, with ``mean`` and ``deviation`` ``[mel, 1]``.
        bands: number of bands of the features.
        where: the user's name for the checkpoint, for messages.

    Raises:
        UserError: if the state has no valid statistics.
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
        """Standardise features ``[batch, mel, frame]``."""
        return (features - self.mean) / self.deviation


class ScenePredictor:
    """A scene classifier: `network` takes the front end's features and returns probabilities ``[batch, class]``.

    Args:
        experiment: the experiment that trained the network.
        network: normalised features ``[batch, mel, frame]`` → logits ``[batch, class]``.
        state: the state of the checkpoint, with ``mean`` and ``deviation`` ``[mel, 1]``.
        classes: the classes in the order of the logits.
        where: the user's name for the run, for messages.

    Raises:
        UserError: if the state has no normalisation for the front end's bands.
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
        self.classes = classes
        self.network: nn.Module = nn.Sequential(Standardise(state, bands, where), network, nn.Softmax(dim=1)).eval()

    def __call__(self, features: Tensor) -> ScenePrediction:
        """Predict the scene of one clip."""
        with torch.inference_mode():
            probabilities = _rank(self.classes, self.network(features)[0])
        return ScenePrediction(next(iter(probabilities)), probabilities)


class _Detector(nn.Module):
    """A network together with the scaling of its front end."""

    def __init__(self, front_end: Any, network: nn.Module) -> None:
        super().__init__()
        self.normalise = front_end.normalise
        self.network = network

    def forward(self, features: Tensor) -> Any:
        """Compute `models.crnn.Predictions` from mel amplitudes ``[batch, mel, frame]``."""
        return self.network(self.normalise(features))


class EventPredictor:
    """A detector of sound events: `network` takes the front end's features and scales them itself.

    Args:
        experiment: the experiment that trained the network.
        network: scaled features ``[batch, mel, frame]`` → `models.crnn.Predictions`.
        classes: the classes in the order of the outputs.
    """

    def __init__(self, experiment: Experiment, network: nn.Module, classes: Sequence[str]) -> None:
        assert experiment.mean_teacher is not None
        front_end = build_front_end(experiment)
        self.classes = classes
        self.network: nn.Module = _Detector(front_end, network).eval()
        self.hop = float(network.frame_stride * front_end.hop / front_end.sample_rate)
        self.median_filter = experiment.mean_teacher.median_filter
        self.threshold = event_rules(experiment.evaluation).f1_threshold

    def __call__(self, features: Tensor) -> EventPrediction:
        """Predict the sound events of one clip."""
        with torch.inference_mode():
            found = self.network(features)
        scores = found.strong[0].float().cpu().numpy().T
        filtered = filter_scores(
            {"clip": scores}, labels=list(self.classes), hop=self.hop, median_length=self.median_filter
        )
        events = decode(filtered, [self.threshold]).events_in("clip")
        ordered = sorted((SoundEvent(event.onset, event.offset, event.label) for event in events), key=_by_onset)
        return EventPrediction(tuple(ordered), _rank(self.classes, found.weak[0]), scores, self.hop)


def _by_onset(event: SoundEvent) -> tuple[float, float, str]:
    return event.onset, event.offset, event.event_label


def _rank(classes: Sequence[str], probabilities: Tensor) -> dict[str, float]:
    """Sort the classes by descending probability."""
    pairs = zip(classes, probabilities.double().cpu().tolist(), strict=True)
    return dict(sorted(pairs, key=lambda pair: -pair[1]))
