"""Predictions of an evaluation set, which are stored so that an interrupted command continues."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.problems import AudioProblem
from dcase_sweep.audio.recordings import open_recording
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.submission.recordings import EvaluationRecording
from dcase_sweep.submission.systems import TrainedSystem
from dcase_sweep.tasks.prediction import EventPrediction, ScenePrediction
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.files import write_bytes
from dcase_sweep.utils.text import printable

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """The prediction for a recording.

    Attributes:
        recording: the recording.
        scores: probabilities ``[class]`` of a scene classifier, or ``[frame, class]`` of an event detector before its
            median filter.
    """

    recording: EvaluationRecording
    scores: Scores


class ScoreCache:
    """A folder with the stored predictions of one network.

    Args:
        folder: folder for the predictions of all networks.
        system: the system with the network.
    """

    def __init__(self, folder: Path, system: TrainedSystem) -> None:
        self.folder = folder / system.identity
        self._classes = len(system.model.classes)

    def load(self, recording: EvaluationRecording) -> Scores | None:
        """Return the scores of a recording; None if it has not been predicted, or has changed since."""
        try:
            with self._path(recording).open("rb") as handle:
                scores: Scores = np.load(handle, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        is_valid = scores.dtype == np.float32 and scores.ndim in (1, 2) and scores.shape[-1] == self._classes
        return scores if is_valid and np.isfinite(scores).all() else None

    def store(self, recording: EvaluationRecording, scores: Scores) -> None:
        """Store the scores of a recording."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, scores, allow_pickle=False)
        write_bytes(self._path(recording), content.getvalue())

    def _path(self, recording: EvaluationRecording) -> Path:
        status = recording.path.stat()
        words = f"{recording.path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        return self.folder / f"{hashlib.sha256(words.encode(errors='surrogateescape')).hexdigest()[:32]}.npy"


def score_recordings(
    model: TrainedModel,
    recordings: Sequence[EvaluationRecording],
    cache: ScoreCache,
    on_progress: Callable[[float], None],
) -> list[ScoredRecording]:
    """Predict the recordings. Those longer than the training clips are processed in overlapping windows.

    Args:
        model: a scene classifier or an event detector.
        recordings: the recordings, in the order of the result.
        cache: the stored predictions.
        on_progress: called with the predicted seconds of audio.

    Raises:
        DataError: for recordings that cannot be used, one line each, after all others are predicted.
        UserError: for a network that predicts neither scenes nor events.
    """
    return list(_score(model, recordings, cache, on_progress))


def _score(
    model: TrainedModel,
    recordings: Sequence[EvaluationRecording],
    cache: ScoreCache,
    on_progress: Callable[[float], None],
) -> Iterator[ScoredRecording]:
    problems, done = [], 0.0
    for recording in recordings:
        try:
            scores = cache.load(recording)
            if scores is None:
                with open_recording(recording.path, sample_rate=model.front_end.sample_rate) as opened:
                    scores = scores_of(model.predict_recording(opened), model.classes)
                cache.store(recording, scores)
            yield ScoredRecording(recording, scores)
        except AudioProblem as problem:
            problems.append(f"{printable(recording.path)}: {problem.listed}")
        done += recording.seconds
        on_progress(done)
    if problems:
        raise DataError(problems)


def scores_of(prediction: object, classes: Sequence[str]) -> Scores:
    """Return probabilities in the order of the classes.

    Raises:
        UserError: for a prediction of anything but scenes or events.
    """
    if isinstance(prediction, EventPrediction):
        return prediction.scores.astype(np.float32)
    if isinstance(prediction, ScenePrediction):
        return np.array([prediction.probabilities[name] for name in classes], dtype=np.float32)
    raise UserError(
        f"{type(prediction).__name__}: not a prediction of task 1A or 4; expected a run of one of these tasks"
    )
