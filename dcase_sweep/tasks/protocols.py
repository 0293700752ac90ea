"""Protocols of a task's data, learner and predictor. Users may implement them in their own projects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.tasks.prediction import Segment


@dataclass(frozen=True, slots=True)
class BatchSize:
    """The number of clips in a training batch.

    Attributes:
        clips: number of clips.
        key: the setting with its value, for messages: ``training.batch_size=64``.
    """

    clips: int
    key: str


class TaskData(Protocol):
    """The clips, labels and splits that ``load()`` of a data set returns.

    Optional attributes: ``coverage`` (a sequence of `data.events.SubsetCoverage`), ``test_coverage`` (for the test
    clips), ``empty_splits`` (one line for each empty split), ``splits`` (split name → indices of its clips; splits must
    not share a recording) and ``notes`` (pairs of a word and a text to print).
    """

    @property
    def name(self) -> str:
        """Name of the data set."""
        ...

    @property
    def root(self) -> Path:
        """The folder to which `filenames` are relative."""
        ...

    @property
    def filenames(self) -> Sequence[str]:
        """The file of each clip. Features are stored in this order."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """The classes in the order of the columns of scores."""
        ...

    @property
    def test(self) -> NDArray[np.int64]:
        """Indices of the test clips, ``[clip]``."""
        ...

    @property
    def description(self) -> str:
        """The sizes of the data set in one line."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of names, labels and splits. It is equal for two runs on the same clips."""
        ...

    @property
    def is_synthetic(self) -> bool:
        """Whether the sounds are generated, so that results are not representative of real recordings."""
        ...

    def drop_invalid(self, valid: NDArray[np.bool_]) -> "TaskData":
        """Return the same clips with invalid ones removed from the splits (``data.skip_invalid=true``)."""
        ...


class Learner(Protocol):
    """A network in training, constructed as ``Learner(experiment, data, features)``.

    `training.fitting.fit` implements most of `fit` for any Lightning module.

    Optional class attribute: ``trains_together``, whether `fit` calls ``training.fitting.fit`` with a
    ``training.step_module.StepModule`` that ``can_join`` and with ``training.batches.EpochBatches``, so that
    ``hydra/launcher=fused`` can train several of it together. A subclass says so for itself.
    """

    @property
    def clips_per_epoch(self) -> int:
        """Number of clips in an epoch."""
        ...

    def layers(self) -> Sequence[Any]:
        """The network's layers with their current weights (`complexity.layers.list_layers`)."""
        ...

    def headline(self, metrics: dict[str, float]) -> str:
        """Format the metrics of an epoch for the progress line."""
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
        """Train, save ``best.ckpt`` and ``last.ckpt`` in the folder, and load the weights of the best epoch.

        Checkpoints are written by ``torch.save``: a dictionary with ``state_dict``, in which the names of the network's
        weights begin with ``network.``, and ``dcase_sweep``, the values of ``extra``. Without them `load_run`,
        ``predict`` and the MLflow model cannot read the run.

        Args:
            folder: folder of the checkpoints.
            extra: plain values to store in checkpoints.
            on_epoch: called with the number of each epoch, from 0, and its metrics.
            on_batch: called with the number of clips in each batch.
            resume: a ``last.ckpt`` to continue from.

        Returns:
            The result of the training (`training.fitting.Fitted`).
        """
        ...

    def predict(self, rows: NDArray[np.int64]) -> Any:
        """Compute the scores of some clips, in the form that the task evaluates."""
        ...


class Predictor(Protocol):
    """A trained network and the interpretation of its outputs.

    A predictor may also have ``begin(sample_rate, threshold)``, which returns a `Joiner` for a recording that is longer
    than a clip, and ``grid``: its windows begin at multiples of this number of samples. Otherwise each window of such a
    recording is predicted separately.
    """

    network: Any

    def __call__(self, features: Any) -> Any:
        """Predict one clip from its features ``[1, mel, frame]``.

        `network` is a `torch.nn.Module` in evaluation mode that takes the features of the front end.
        """
        ...


class Joiner(Protocol):
    """Joins the predictions for the windows of one recording."""

    def add(self, starts: Sequence[int], features: Any) -> None:
        """Add windows.

        Args:
            starts: start of each window in samples, in ascending order.
            features: features of the windows ``[window, mel, frame]``.
        """
        ...

    def finish(self, samples: int) -> Any:
        """Return the prediction for the whole recording (`Prediction`), which has this number of samples."""
        ...


class Prediction(Protocol):
    """A prediction that ``python -m dcase_sweep predict`` can write as a table, such as those of `tasks.prediction`.

    ``scores`` ``[part, class]`` and ``starts`` ``[part]`` (s) are drawn in figures.
    """

    #: Whether a table has a row for each segment; if not, it has one for each recording.
    has_segments: ClassVar[bool]
    #: The column of the labels in a table of recordings, and in one of segments.
    columns: ClassVar[tuple[str, str]]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the recording."""
        ...

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Class → probability."""
        ...

    @property
    def segments(self) -> Sequence[Segment]:
        """The labelled parts of the recording."""
        ...

    @property
    def scores(self) -> NDArray[np.float32]:
        """Probabilities ``[part, class]``."""
        ...

    @property
    def starts(self) -> NDArray[np.float64]:
        """The start of each part, s."""
        ...

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        ...
