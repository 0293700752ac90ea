"""A trained network with its front end and its classes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcase_sweep.audio.front_end import ClipFrontEnd
from dcase_sweep.audio.problems import MOST_CHANNELS
from dcase_sweep.audio.reading import AudioProblem, fit_waveform, read_waveform
from dcase_sweep.audio.recordings import Recording, open_recording, recording_of
from dcase_sweep.config import Experiment as Settings
from dcase_sweep.inference.windows import OVERLAP, Window, Windows, check_overlap
from dcase_sweep.tasks.predictors import join
from dcase_sweep.tasks.protocols import Predictor
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dcase_sweep.tasks.prediction import EventPrediction, ScenePrediction

#: Number of windows in a batch.
_BATCH_SIZE = 8


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A trained network with its front end and its classes.

    Attributes:
        run_id: ID of the run in MLflow; None if it is not logged there.
        name: name of the model in the configuration: ``cnn5``.
        classes: class labels in the order of the network's outputs.
        metrics: metrics of the run by name, such as ``test/accuracy``; empty if the run is not in the store.
        network: features ``[batch, mel, frame]`` → outputs, in evaluation mode. The outputs of a scene classifier are
            probabilities ``[batch, class]``; those of an event detector are probabilities for frames and for clips.
        front_end: waveforms ``[batch, sample]`` → features ``[batch, mel, frame]``.
        settings: the configuration of the training; None for an exported file.
        trained: the part of the network that was trained, without normalisation; None for an exported file.
        choices: configuration group → selected option: ``{"augmentation": "mixup"}``; empty for an exported file.
    """

    run_id: str | None
    name: str
    classes: tuple[str, ...]
    metrics: dict[str, float] = field(repr=False)
    network: "nn.Module" = field(repr=False)
    front_end: ClipFrontEnd = field(repr=False)
    settings: Settings | None = field(repr=False)
    _predictor: Predictor = field(repr=False)
    trained: "nn.Module | None" = field(default=None, repr=False)
    choices: dict[str, str] = field(default_factory=dict, repr=False)

    def features(self, clip: str | Path | ArrayLike, sample_rate: int | None = None) -> "Tensor":
        """Compute the features of a clip ``[1, mel, frame]``.

        Args:
            clip: an audio file, or a waveform as for `predict`. It is cut or extended to the length of the training
                clips.
            sample_rate: sample rate of a waveform, Hz; not needed for a file.

        Raises:
            UserError: for a recording that cannot be used.
        """
        wanted: Any = {name: getattr(self.front_end, name) for name in ("sample_rate", "seconds", "padding")}
        try:
            if isinstance(clip, str | Path):
                samples = read_waveform(Path(clip).expanduser(), **wanted).samples
            else:
                samples = fit_waveform(*as_waveform(clip, sample_rate), **wanted).samples
        except AudioProblem as problem:
            raise UserError(f"{_name(clip)}: {problem}") from None
        return self._compute([Window(0, samples)])

    def predict(
        self,
        clip: str | Path | ArrayLike,
        sample_rate: int | None = None,
        *,
        overlap: float = OVERLAP,
        threshold: float | None = None,
    ) -> "ScenePrediction | EventPrediction | Any":
        """Predict the scene or the events of a recording of any length.

        A recording that is longer than the training clips is processed in overlapping windows, of which only a few are
        in memory. Probabilities of scenes are averaged over the windows; those of events are joined frame by frame.

        Args:
            clip: an audio file, or a waveform ``[sample]`` or ``[sample, channel]`` with full scale 1, as returned by
                `soundfile.read`; channels are averaged.
            sample_rate: sample rate of a waveform, Hz; not needed for a file.
            overlap: fraction of a window that overlaps with the next one.
            threshold: threshold on the probabilities of events; None = the threshold of the evaluation.

        Returns:
            A `ScenePrediction` or an `EventPrediction`. A task from outside this package may return another class.

        Raises:
            UserError: for a recording that cannot be used, or an invalid overlap or threshold.
        """
        rate = self.front_end.sample_rate
        try:
            if not isinstance(clip, str | Path):
                recording = recording_of(*as_waveform(clip, sample_rate), sample_rate=rate)
                return self.predict_recording(recording, overlap=overlap, threshold=threshold)
            with open_recording(Path(clip).expanduser(), sample_rate=rate) as recording:
                return self.predict_recording(recording, overlap=overlap, threshold=threshold)
        except AudioProblem as problem:
            raise UserError(f"{_name(clip)}: {problem}") from None

    def predict_recording(
        self,
        recording: Recording,
        *,
        overlap: float = OVERLAP,
        threshold: float | None = None,
        on_progress: Callable[[float], None] = lambda seconds: None,
        on_window: Callable[[float, NDArray[np.float32]], None] | None = None,
    ) -> Any:
        """Predict the scene or the events of an open recording.

        Args:
            recording: an open recording at the sample rate of the front end.
            overlap: fraction of a window that overlaps with the next one.
            threshold: threshold on the probabilities of events; None = the threshold of the evaluation.
            on_progress: called with the number of seconds processed so far.
            on_window: called with the start (s) and the features ``[mel, frame]`` of each window.

        Raises:
            AudioProblem: for a recording that cannot be used.
            UserError: for an invalid overlap or threshold.
        """
        rate = self.front_end.sample_rate
        joiner = join(self._predictor, rate, self.front_end.seconds, _check_threshold(threshold))
        windows = Windows(
            recording.blocks,
            length=round(rate * self.front_end.seconds),
            overlap=check_overlap(overlap),
            grid=getattr(self._predictor, "grid", 1),
            padding=self.front_end.padding,
            sample_rate=rate,
        )
        for batch in _batches(windows):
            features = self._compute(batch)
            joiner.add([window.start for window in batch], features)
            if on_window is not None:
                for window, each in zip(batch, features.cpu().numpy(), strict=True):
                    on_window(window.start / rate, each)
            on_progress(windows.samples / rate)
        return joiner.finish(windows.samples)

    def _compute(self, windows: list[Window]) -> "Tensor":
        """Compute features ``[window, mel, frame]``."""
        import torch

        with torch.inference_mode():
            features: Tensor = self.front_end(torch.from_numpy(np.stack([window.samples for window in windows])))
        return features


def _batches(windows: Iterable[Window]) -> Iterator[list[Window]]:
    batch: list[Window] = []
    for window in windows:
        batch.append(window)
        if len(batch) == _BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _name(clip: object) -> str:
    return printable(clip) if isinstance(clip, str | Path) else "waveform"


def _check_threshold(threshold: float | None) -> float | None:
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"threshold={threshold:g}: expected a number from 0 to 1")
    return threshold


def as_waveform(clip: ArrayLike, sample_rate: int | None) -> tuple[NDArray[np.float32], int]:
    """Return a waveform ``[sample]`` with averaged channels, and its sample rate.

    Raises:
        UserError: for anything but a waveform with full scale 1.
    """
    samples = np.asarray(clip)
    is_shaped = samples.ndim == 1 or (samples.ndim == 2 and 0 < samples.shape[1] <= min(MOST_CHANNELS, len(samples)))
    if not is_shaped or not len(samples) or samples.dtype.kind not in "fiu":
        raise UserError(
            f"waveform: {samples.dtype} {list(samples.shape)}; expected numbers [sample] or [sample, channel]"
        )
    if samples.dtype.kind in "iu":
        raise UserError(f"waveform: whole numbers ({samples.dtype}); expected full scale at 1.0: divide by its maximum")
    if sample_rate is None or sample_rate <= 0:
        raise UserError(f"sample_rate={sample_rate}: expected the sample rate of the waveform in Hz")
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    return mono.astype(np.float32, copy=False), int(sample_rate)
