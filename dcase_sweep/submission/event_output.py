"""The output files of an event detector: tables of events at many thresholds, and tables of scores.

A system of 2021 has a table of events at the threshold of F1 and one for each of the 50 thresholds of PSDS, named as in
the baseline [B4 in `rules`, dcase2021_task4_baseline/confs/sed.yaml, PSDS_Eval]. Since 2023
scores are submitted, in the files of https://github.com/fgnt/sed_scores_eval: the filtered ones and those of the
network [B4, dcase2023_task4_baseline/README.md].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.config import event_rules
from dcase_sweep.evaluation.events import Detections, FilteredScores, decode, filter_scores, psds_thresholds
from dcase_sweep.evaluation.events.detections import format_detections, write_detections
from dcase_sweep.submission.rules import EVENT_OUTPUT
from dcase_sweep.submission.scores import ScoredRecording
from dcase_sweep.submission.systems import TrainedSystem
from dcase_sweep.utils.files import write_text

#: Suffix of the folder with a table for each threshold, as in submissions of 2020.
THRESHOLDS = ".output_PSDS"
#: Suffixes of the folders with the scores of a training: filtered ones, and the outputs of the network [C4].
FILTERED, UNFILTERED = ".output", "_unprocessed.output"
#: Columns before the classes in a table of scores.
TIME_COLUMNS = ("onset", "offset")


@dataclass(frozen=True, slots=True)
class _Decoding:
    """Settings that turn scores into events: hop (s), length of the median filter (frames), threshold of F1."""

    hop: float
    median_filter: int | dict[str, int]
    threshold: float


def write_events(folder: Path, label: str, scored: Sequence[ScoredRecording], system: TrainedSystem) -> None:
    """Write the tables of events of a system of 2021.

    Args:
        folder: folder of the system.
        label: label of the system.
        scored: probabilities ``[frame, class]`` of each recording.
        system: the network and settings of the system.
    """
    decoding = _decoding(system)
    filtered = _filter(scored, system, decoding.median_filter, decoding.hop)
    write_detections(_within(decode(filtered, psds_thresholds()), scored), folder / f"{label}{THRESHOLDS}")
    found = _within(decode(filtered, [decoding.threshold]), scored)
    write_text(folder / f"{label}{EVENT_OUTPUT}", format_detections(found))


def write_scores(
    folder: Path, label: str, number: int, scored: Sequence[ScoredRecording], system: TrainedSystem
) -> None:
    """Write the tables of scores of one training of a system of 2023.

    Args:
        folder: folder of the system.
        label: label of the system.
        number: number of the training, from 1.
        scored: probabilities ``[frame, class]`` of each recording.
        system: the network and settings of the system.
    """
    decoding = _decoding(system)
    for end, frames in ((FILTERED, decoding.median_filter), (UNFILTERED, 1)):
        filtered = _filter(scored, system, frames, decoding.hop)
        place = folder / f"{label}_run{number}{end}"
        place.mkdir(parents=True)
        for batch in filtered.batches:
            for index, values in zip(batch.clip, batch.values.transpose(1, 0, 2), strict=True):
                recording = scored[index].recording
                times = np.minimum(batch.borders, round(recording.seconds, 6))
                text = _score_table(times, values, filtered.labels)
                write_text(place / f"{Path(recording.filename).stem}.tsv", text)


def _decoding(system: TrainedSystem) -> _Decoding:
    model, settings = system.model, system.settings
    assert model.trained is not None
    assert settings is not None
    assert settings.mean_teacher is not None
    front_end: object = model.front_end
    samples = model.trained.frame_stride * front_end.hop  # type: ignore[attr-defined]
    threshold = float(event_rules(settings.evaluation).f1_threshold)
    return _Decoding(samples / model.front_end.sample_rate, settings.mean_teacher.median_filter, threshold)


def _filter(
    scored: Sequence[ScoredRecording], system: TrainedSystem, frames: int | dict[str, int], hop: float
) -> FilteredScores:
    scores = {each.recording.filename: each.scores for each in scored}
    return filter_scores(scores, labels=list(system.model.classes), hop=hop, median_length=frames)


def _within(found: Detections, scored: Sequence[ScoredRecording]) -> Detections:
    """Return the events, cut at the end of their recording."""
    seconds = np.array([round(each.recording.seconds, 6) for each in scored])
    return replace(found, offset=np.minimum(found.offset, seconds[found.clip]))


def _score_table(times: NDArray[np.float64], values: NDArray[np.floating], classes: Sequence[str]) -> str:
    """Return a row for each frame: onset, offset (s) and the score of each class."""
    lines = ["\t".join([*TIME_COLUMNS, *classes])]
    for onset, offset, row in zip(times[:-1].tolist(), times[1:].tolist(), values.tolist(), strict=True):
        lines.append("\t".join([f"{onset:.6f}", f"{offset:.6f}", *(f"{score:.7g}" for score in row)]))
    return "\n".join(lines) + "\n"
