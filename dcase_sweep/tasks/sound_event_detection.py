"""Sound event detection: DCASE 2021 task 4."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.config import Experiment, MeanTeacher, build_front_end, build_metrics, clip_seconds, event_rules
from dcase_sweep.config.event_checks import check_events
from dcase_sweep.config.schemas import Evaluation
from dcase_sweep.data.events import EventData
from dcase_sweep.evaluation.metrics import compute_metrics, try_metrics
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.result import Column
from dcase_sweep.tasks.base import Task
from dcase_sweep.tasks.notes import describe_note
from dcase_sweep.tasks.prediction import EventPrediction
from dcase_sweep.tasks.protocols import BatchSize, Predictor
from dcase_sweep.utils.console import announced, pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import suggest

if TYPE_CHECKING:
    from dcase_sweep.evaluation.events.result import ClipView

log = logging.getLogger(__name__)
#: Number of test clips in the figure of reference and detected events.
_SHOWN = 3
#: Attributes of a front end that mean-teacher training requires.
_OF_MEAN_TEACHER = ("normalise", "to_decibel", "hop")


#: The metrics of a network, as patterns; those after a slash are of one class.
_NAMES = (
    *("psds_score_scenario1", "psds_score_scenario2", "psds_score_*", "psds_exact_*", "loss_strong"),
    *("event_f1_macro", "event_f1_micro", "event_f1/*", "event_error_rate", "event_error_rate_macro"),
    *("segment_f1_macro", "segment_f1_micro", "segment_f1/*", "segment_error_rate", "segment_error_rate_macro"),
    *("intersection_f1_macro", "intersection_f1/*"),
)


class SoundEventDetection(Task):
    """Detection of sound events and their times with a student network and its teacher.

    Turpault et al., "Sound event detection in domestic environments with weakly labeled data and soundscape
    synthesis", 2019. Evaluated by PSDS (Bilen et al., 2020) and F1 (Mesaros et al., 2016).
    """

    kind: ClassVar[str] = "events"
    data_type: ClassVar[type] = EventData
    learners: ClassVar[Mapping[str, str]] = {"torch": "dcase_sweep.training.mean_teacher.learner.MeanTeacherLearner"}
    #: Macro F1 on weakly labelled clips plus intersection F1 on synthetic clips.
    monitor: ClassVar[str] = "validation/objective"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("test/teacher/psds_score_scenario1", "PSDS 1"),
        Column("test/teacher/psds_score_scenario2", "PSDS 2"),
        Column("test/student/psds_score_scenario1", "student's PSDS 1"),
        Column("test/student/psds_score_scenario2", "student's PSDS 2"),
        Column("test/teacher/event_f1_macro", "collar F1 %", factor=100.0, digits=1),
        Column("test/teacher/intersection_f1_macro", "intersection F1 %", factor=100.0, digits=1),
        Column("best/validation/objective", "validation"),
    )
    metrics: ClassVar[tuple[str, ...]] = (
        *("test/psds1", "test/psds2", "test/f1", "hp_metric", "test/clips_scored", "test/clips_listed", "reference/*"),
        *(f"test/{network}/{name}" for network in ("teacher", "student") for name in _NAMES),
    )
    evaluation: ClassVar[type | None] = Evaluation
    demo_data: ClassVar[str | None] = "dcase_sweep.demo.desed.DemoSoundscapes"
    padding: ClassVar[Literal["repeat", "zeros"]] = "zeros"
    prediction: ClassVar[type | None] = EventPrediction
    weight_copies: ClassVar[int] = 1
    batches: ClassVar[str] = "events"

    def check(self, experiment: Experiment) -> None:
        """Check the settings of sound event detection, including settings without an effect."""
        check_events(experiment)

    def check_front_end(self, experiment: Experiment, front_end: Any) -> None:
        """Check that the front end has the attributes that mean-teacher training requires."""
        missing = [name for name in _OF_MEAN_TEACHER if not hasattr(front_end, name)]
        if missing:
            raise UserError(
                f"front_end._target_={experiment.front_end._target_}: has no {missing[0]}; the training of task "
                f"{experiment.task.name} mixes up mel amplitudes and scales them afterwards: choose "
                "front_end=amplitude_mel, or a class with hop, normalise and to_decibel"
            )

    def check_files(self, experiment: Experiment) -> None:
        """Check ``mean_teacher.checkpoint``."""
        from dcase_sweep.training.mean_teacher.pretrained import check_published

        check_published(experiment)

    def validate_data(self, experiment: Experiment, data: EventData) -> None:
        """Check the number of clips and the classes; log metrics that are not defined on the test set."""
        assert experiment.mean_teacher is not None
        _check_classes(experiment.mean_teacher.median_filter, data.classes)
        if experiment.published_checkpoint is None:
            from dcase_sweep.training.loss_check import try_event_loss
            from dcase_sweep.training.network_check import try_event_network

            _check_batches(experiment.mean_teacher, data)
            try_event_network(experiment, len(data.classes))
            try_event_loss(experiment, len(data.classes))
        if not data.reference_events(data.test):
            log.warning("data      no event in the test set: PSDS and F1 are not defined on it")
        held_out = data.weak_validation if len(data.weak_validation) else data.synthetic_validation
        try_metrics(build_metrics(experiment), data.weak_targets(held_out).astype(int), len(data.classes))
        _warn_of_cut_events(clip_seconds(experiment), data)

    def batch_size(self, experiment: Experiment) -> BatchSize:
        """The strongly labelled, the weakly labelled and the unlabelled clips; the key is that of the largest part."""
        assert experiment.mean_teacher is not None
        parts = {name: int(getattr(experiment.mean_teacher, name)) for name in ("strong", "weak", "unlabelled")}
        largest = max(parts, key=lambda name: parts[name])
        return BatchSize(sum(parts.values()), f"mean_teacher.{largest}={parts[largest]}")

    def make_predictor(
        self, experiment: Experiment, network: Any, state: Mapping[str, Any], classes: Sequence[str], *, where: str
    ) -> Predictor:
        """Return a predictor of events, using the threshold and the median filter of the evaluation."""
        from dcase_sweep.tasks.event_predictor import EventPredictor

        return EventPredictor(experiment, network, classes)

    def pool(self, experiment: Experiment, folders: Sequence[Path]) -> EvaluationResult | None:
        """The metrics of the detections in the test clips of all runs; None for runs of earlier versions."""
        from dcase_sweep.evaluation.events.detections_file import DETECTIONS
        from dcase_sweep.evaluation.events.pooling import evaluate_event_files

        missing = next((folder for folder in folders if not (folder / DETECTIONS).is_file()), None)
        if missing is not None:
            log.warning(
                f"pooled    {missing} has no {DETECTIONS}, as of an earlier version: the row is the mean of the folds"
            )
            return None
        return evaluate_event_files(folders, event_rules(experiment.evaluation))

    def evaluate(self, experiment: Experiment, data: EventData, learner: Any, features: Any) -> EvaluationResult:
        """Compute PSDS, F1 and error rates of the student and the teacher."""
        from dcase_sweep.evaluation.events.result import NetworkScores, evaluate_event_scores

        assert experiment.mean_teacher is not None
        names = dict(zip(data.test.tolist(), data.names(data.test), strict=True))
        coverage = data.test_coverage
        front_end = build_front_end(experiment)
        networks = {
            network: NetworkScores(
                {names[row]: found for row, found in of.strong.items()},
                of.loss_strong,
                _extra_metrics(experiment, data, of.strong, learner.hop, f"test/{network}/"),
            )
            for network, of in learner.predict(data.test).items()
        }
        clips = pluralize(len(data.test), "clip")
        with announced("evaluation", f"PSDS and F1 of {clips}, {pluralize(len(networks), 'network')}"):
            result = evaluate_event_scores(
                networks,
                data.reference_events(data.test),
                data.durations(data.test),
                labels=data.classes,
                hop=learner.hop,
                median_length=experiment.mean_teacher.median_filter,
                listed=coverage.listed if coverage else len(data.test),
                rules=event_rules(experiment.evaluation),
                clip_seconds=front_end.seconds,
                views=_view_clips(data, features, front_end),
                note=describe_note(data),
                keep_detections=getattr(experiment.data, "fold", None) is not None,
            )
        covered = {f"coverage/{part.subset}": part.found / part.listed for part in data.coverage if part.listed}
        return replace(result, metrics=result.metrics | covered)


def _extra_metrics(
    experiment: Experiment, data: EventData, scores: Mapping[int, NDArray[np.float32]], hop: float, prefix: str
) -> dict[str, float]:
    """Compute the configured metrics over all frames from scores ``[frame, class]`` by clip."""
    metrics = build_metrics(experiment)
    if not metrics:
        return {}
    frames = np.concatenate(list(scores.values()))
    targets = [data.strong_targets([row], len(each), hop)[0].T for row, each in scores.items()]
    return compute_metrics(metrics, frames, np.concatenate(targets).astype(np.int64), prefix)


def _view_clips(data: EventData, features: Any, front_end: Any) -> list["ClipView"]:
    """Return the spectrograms in dB of the test clips with the most events, which show hits and misses best."""
    import torch

    from dcase_sweep.evaluation.events.result import ClipView

    shown = sorted(data.test.tolist(), key=lambda row: len(data.clips[row].events), reverse=True)[:_SHOWN]
    frequencies = getattr(front_end, "frequencies", None)
    return [
        ClipView(name, front_end.to_decibel(torch.tensor(features[row])).numpy(), front_end.seconds, frequencies)
        for row, name in zip(shown, data.names(shown), strict=True)
    ]


def _warn_of_cut_events(seconds: float, data: EventData) -> None:
    """Warn of events after the end of the network's input, which count as missed."""
    behind = sum(onset >= seconds for _, onset, _, _ in data.reference_events(data.test))
    if behind:
        found = "1 test event begins" if behind == 1 else f"{behind:,} test events begin"
        counted = "counts" if behind == 1 else "count"
        log.warning(f"data      {found} after data.seconds={seconds:g} and {counted} as missed")


def _check_classes(median_filter: object, classes: tuple[str, ...]) -> None:
    if not isinstance(median_filter, dict):
        return
    for label in median_filter:
        if label not in classes:
            hint = suggest(label, classes, otherwise=f"expected {', '.join(classes)}")
            raise UserError(f"mean_teacher.median_filter.{label}: no such class; {hint}")
    missing = [label for label in classes if label not in median_filter]
    if missing:
        raise UserError(
            f"mean_teacher.median_filter: no frames for {', '.join(missing)}; expected some for every class"
        )


def _check_batches(settings: MeanTeacher, data: EventData) -> None:
    """Refuse batches with more clips of a kind than there are; one line names every key to change."""
    subsets = {"strong": data.strong, "weak": data.weak, "unlabelled": data.unlabeled}
    few = {name: len(rows) for name, rows in subsets.items() if len(rows) < getattr(settings, name)}
    if not few:
        return
    found = ", ".join(
        f"mean_teacher.{name}={getattr(settings, name)}: only {pluralize(count, 'clip')}" for name, count in few.items()
    )
    fix = " ".join(f"mean_teacher.{name}={count}" for name, count in few.items())
    raise UserError(f"{found}; expected at most as many a batch, as {fix}")
