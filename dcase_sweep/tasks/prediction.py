"""Predictions for a recording: scenes, tags or sound events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.events import SoundEvent

Scores = NDArray[np.float32]


def _no_scores() -> Scores:
    return np.zeros((0, 0), np.float32)


def _no_times() -> NDArray[np.float64]:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Segment:
    """A labelled part of a recording.

    Attributes:
        onset: start, s.
        offset: end, s.
        label: class label.
        confidence: confidence from 0 to 1.
    """

    onset: float
    offset: float
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class DetectedEvent(SoundEvent):
    """A sound event with its confidence, the mean probability of its class over its frames."""

    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class ClipPrediction:
    """The prediction of a classifier of whole clips. A longer recording is processed in windows.

    Attributes:
        probabilities: class → mean probability over the windows, the most probable class first.
        segments: the classes of each window.
        scores: probabilities ``[window, class]``.
        starts: start of each window, s.
        seconds: length of the recording, s.
    """

    #: Whether a table has a row for each recording, or one for each segment.
    has_segments: ClassVar[bool] = False
    #: The column of the labels in a table of recordings, and in one of segments.
    columns: ClassVar[tuple[str, str]] = ("labels", "label")

    probabilities: Mapping[str, float]
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    scores: Scores = field(default_factory=_no_scores, repr=False)
    starts: NDArray[np.float64] = field(default_factory=_no_times, repr=False)
    seconds: float = field(default=0.0, repr=False)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScenePrediction(ClipPrediction):
    """The scene of a recording.

    Attributes:
        label: the most probable scene.
        probabilities: scene → mean probability over the windows, the most probable scene first; they sum to 1.
        segments: the most probable scene of each window.
    """

    columns: ClassVar[tuple[str, str]] = ("scene_label", "scene_label")

    label: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The most probable scene, as a tuple."""
        return (self.label,)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TagPrediction(ClipPrediction):
    """The tags of a recording.

    Attributes:
        labels: tags with a probability above the threshold, the most probable first.
        probabilities: tag → mean probability over the windows, the most probable tag first.
        segments: the tags of each window.
    """

    columns: ClassVar[tuple[str, str]] = ("event_labels", "event_label")

    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EventPrediction:
    """The sound events of a recording.

    Attributes:
        events: events in the order of their onsets, from the scores above ``evaluation.f1_threshold`` after the median
            filter.
        probabilities: class → probability that it occurs in the recording, the most probable class first.
        scores: probabilities ``[frame, class]`` before the median filter.
        hop: time between the frames of the scores, s.
        seconds: length of the recording, s.
    """

    has_segments: ClassVar[bool] = True
    columns: ClassVar[tuple[str, str]] = ("event_labels", "event_label")

    events: tuple[DetectedEvent, ...]
    probabilities: Mapping[str, float]
    scores: Scores = field(repr=False)
    hop: float = field(repr=False)
    seconds: float = field(default=0.0, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of the events, in alphabetical order."""
        return tuple(sorted({event.event_label for event in self.events}))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The events."""
        return tuple(Segment(each.onset, each.offset, each.event_label, each.confidence) for each in self.events)

    @property
    def starts(self) -> NDArray[np.float64]:
        """The start of each frame, s."""
        return np.arange(len(self.scores), dtype=np.float64) * self.hop
