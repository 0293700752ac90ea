"""What the program asks of a task's data and of its learner; both may be classes of the user's own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.tasks.prediction import Segment


class TaskData(Protocol):
    """Clips, their labels and their splits, as ``load()`` of a data set returns them.

    Optional attributes: ``coverage`` (a sequence of `data.events.SubsetCoverage`), ``test_coverage`` (that of the test
    clips), ``empty_splits`` (one line for each split without a clip), ``splits`` (the indices of the clips by the name
    of the split, which must not share a recording) and ``notes`` (pairs of a word and a text, which are printed).
    """

    @property
    def name(self) -> str:
        """Of the data set."""
        ...

    @property
    def root(self) -> Path:
        """The folder that `filenames` are relative to."""
        ...

    @property
    def filenames(self) -> Sequence[str]:
        """Every clip's file; features are stored in this order."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """The classes in the order of a score's columns."""
        ...

    @property
    def test(self) -> NDArray[np.int64]:
        """Indices of the test clips ``[clip]``."""
        ...

    @property
    def description(self) -> str:
        """Its sizes in one line."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of names, labels and splits: equal for two runs that learned from the same clips."""
        ...

    @property
    def is_synthetic(self) -> bool:
        """Whether the sounds are generated, so that results are not representative of real recordings."""
        ...

    def drop_invalid(self, valid: NDArray[np.bool_]) -> "TaskData":
        """The same clips, with those that are not valid taken out of the splits (``data.skip_invalid=true``)."""
        ...


class Learner(Protocol):
    """A network in training, made as ``Learner(experiment, data, features)``.

    `training.fitting.fit` does most of `fit` for any Lightning module.
    """

    @property
    def clips_per_epoch(self) -> int:
        """How many clips an epoch learns from."""
        ...

    def layers(self) -> Sequence[Any]:
        """The network's layers with their present weights (`complexity.layers.list_layers`)."""
        ...

    def headline(self, metrics: dict[str, float]) -> str:
        """The metrics of an epoch in a few words, for the progress line."""
        ...

    def fit(
        self,
        folder: Path,
        *,
        extra: dict[str, Any],
        on_epoch: Callable[[int, dict[str, float]], None],
        on_batch: Callable[[int], None] | None = None,
        resume: Path | None = None,
    ) -> Any:
        """Train, keep ``best.ckpt`` and ``last.ckpt`` in the folder, and load the best epoch's weights.

        Args:
            folder: for the checkpoints.
            extra: plain values that checkpoints carry.
            on_epoch: called with each epoch's number, from 0, and its metrics.
            on_batch: called with the number of clips of each batch.
            resume: a ``last.ckpt`` to continue from.

        Returns:
            What was kept (`training.fitting.Fitted`).
        """
        ...

    def predict(self, rows: NDArray[np.int64]) -> Any:
        """Scores of some clips, in the form that the task evaluates."""
        ...


class Predictor(Protocol):
    """A trained network and the meaning of its outputs.

    A predictor may also have ``begin(sample_rate, threshold)``, which returns a `Joiner` for one recording that is
    longer than a clip, and ``grid``: windows of it begin at multiples of so many samples. Without them the windows of
    such a recording are predicted each by itself.
    """

    network: Any

    def __call__(self, features: Any) -> Any:
        """The prediction for the features ``[1, mel, frame]`` of one clip.

        `network` is a `torch.nn.Module` in evaluation mode that takes the front end's features.
        """
        ...


class Joiner(Protocol):
    """Joins what a network says of the windows of one recording."""

    def add(self, starts: Sequence[int], features: Any) -> None:
        """Take some more windows.

        Args:
            starts: of each window, in samples from the beginning of the recording; in order.
            features: ``[window, mel, frame]``.
        """
        ...

    def finish(self, samples: int) -> Any:
        """The prediction for the whole recording, which had so many samples (`Prediction`)."""
        ...


class Prediction(Protocol):
    """What a prediction has that ``python -m dcase_sweep predict`` can write as a table.

    Those of `tasks.prediction` do. ``scores`` ``[part, class]`` and ``starts`` ``[part]`` (s) are drawn in figures.
    """

    #: Whether a table has a row for each segment; if not, it has one for each recording.
    has_segments: ClassVar[bool]
    #: The column of the labels in a table of recordings, and in one of segments.
    columns: ClassVar[tuple[str, str]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the recording."""
        ...

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Of each class."""
        ...

    @property
    def segments(self) -> Sequence[Segment]:
        """What is heard when."""
        ...

    @property
    def scores(self) -> NDArray[np.float32]:
        """Probabilities ``[part, class]``."""
        ...

    @property
    def starts(self) -> NDArray[np.float64]:
        """Of each part, s."""
        ...

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        ...
