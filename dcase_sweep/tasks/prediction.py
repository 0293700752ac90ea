"""What a trained network says of a recording, in the terms of its task."""

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
    """What is heard in a part of a recording.

    Attributes:
        onset: s.
        offset: s.
        label: of the class.
        confidence: 0 to 1.
    """

    onset: float
    offset: float
    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class DetectedEvent(SoundEvent):
    """A sound event, and the mean over its frames of the probability of its class."""

    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class ClipPrediction:
    """The classes of a recording that is classified as a whole, window by window if it is longer than a clip.

    Attributes:
        probabilities: of each class, the mean over windows, the most probable first.
        segments: the classes of each window.
        scores: probabilities ``[window, class]``.
        starts: of each window, s.
        seconds: length of the recording.
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
        probabilities: of each scene, the most probable first; they sum to 1. Of a recording that is longer than a clip
            they are the mean over its windows.
        segments: the most probable scene of each window.
    """

    columns: ClassVar[tuple[str, str]] = ("scene_label", "scene_label")

    label: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The scene."""
        return (self.label,)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TagPrediction(ClipPrediction):
    """The tags of a recording.

    Attributes:
        labels: with a probability above the threshold, the most probable first.
        probabilities: of each tag, the most probable first.
        segments: the tags of each window.
    """

    columns: ClassVar[tuple[str, str]] = ("event_labels", "event_label")

    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EventPrediction:
    """The sound events of a recording.

    Attributes:
        events: onset and offset in s, by onset; above ``evaluation.f1_threshold``, after the median filter.
        probabilities: that each class is heard somewhere in the recording, the most probable first.
        scores: probabilities ``[frame, class]`` before the median filter.
        hop: seconds from frame to frame of the scores.
        seconds: length of the recording.
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
        """Of each frame, s."""
        return np.arange(len(self.scores), dtype=np.float64) * self.hop
