"""From a learner's scores to its result: which evaluation belongs to which kind of data."""

import logging
from dataclasses import replace
from typing import Any

from dcase_sweep.config import Experiment, build_front_end, event_rules
from dcase_sweep.data.events import EventData, SubsetCoverage
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)

SYNTHETIC = "synthetic demo data: says nothing of real recordings"


def describe_note(data: SceneData | EventData) -> str | None:
    """What must stand beside every result on these data."""
    return SYNTHETIC if data.is_synthetic else None


def describe_incompleteness(data: SceneData | EventData) -> str | None:
    """How many of the listed test clips every result on these data is measured on, where that is not all."""
    part = _test_coverage(data) if isinstance(data, EventData) else None
    if part is None or part.is_complete:
        return None
    return f"scored on {part.found:,} of {part.listed:,} clips: not comparable with a score on all of them"


def describe_tags(data: SceneData | EventData) -> dict[str, str]:
    """What a run's page says of its results at first sight."""
    notes = {"dcase_sweep.synthetic": describe_note(data), "dcase_sweep.incomplete": describe_incompleteness(data)}
    tags = {tag: note for tag, note in notes.items() if note}
    if not tags:
        return {}
    shown = "\n\n".join(f"**{note}**" for note in tags.values())
    synthetic = {"dcase_sweep.synthetic": "true"} if data.is_synthetic else {}
    return tags | synthetic | {"mlflow.note.content": shown}


def _test_coverage(data: EventData) -> SubsetCoverage | None:
    return next((part for part in data.coverage if part.subset == "validation"), None)


def evaluate(experiment: Experiment, data: SceneData | EventData, learner: Any, features: Any) -> EvaluationResult:
    """The learner's results on the test split, by the rules of the task."""
    scores = learner.predict(data.test)
    if isinstance(data, SceneData):
        return _evaluate_scenes(experiment, data, scores, learner)
    return _evaluate_events(experiment, data, scores, learner.hop, features)


def _float16_scores(experiment: Experiment, data: SceneData, learner: Any) -> Any:
    """The scores in float16, where ``evaluation.precision`` asks for them and they can be had; None elsewhere."""
    import numpy as np

    if experiment.evaluation.precision is None:
        return None
    if not hasattr(learner, "predict_in_float16"):
        log.warning(
            f"float16   {type(learner).__name__} has no predict_in_float16; the figures in float16 are left out"
        )
        return None
    scores = learner.predict_in_float16(data.test)
    broken = int((~np.isfinite(scores).all(axis=1)).sum())
    if broken:
        log.warning(
            f"float16   activations exceed 65,504 in {broken} of {len(scores)} test clips, whose scores are infinite; "
            "the figures in float16 are left out"
        )
        return None
    return scores


def _evaluate_scenes(experiment: Experiment, data: SceneData, scores: Any, learner: Any) -> EvaluationResult:
    import numpy as np

    from dcase_sweep.evaluation.scenes.result import evaluate_scene_scores

    broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(broken):
        raise UserError(
            f"{data.recordings[data.test[broken[0]]].filename}: the network's scores are NaN or infinite, as those of "
            f"{len(broken)} of {len(scores)} test clips; expected probabilities: lower optimizer.lr or use "
            "hardware.precision=32-true"
        )
    return evaluate_scene_scores(
        scores,
        data.targets[data.test],
        classes=data.classes,
        devices=data.devices(data.test),
        filenames=[data.recordings[index].filename for index in data.test],
        note=describe_note(data),
        float16_scores=_float16_scores(experiment, data, learner),
    )


def _evaluate_events(
    experiment: Experiment, data: EventData, scores: Any, hop: float, features: Any
) -> EvaluationResult:
    from dcase_sweep.evaluation.events.result import ClipView, NetworkScores, evaluate_event_scores

    assert experiment.mean_teacher is not None
    assert experiment.evaluation is not None
    names = dict(zip(data.test.tolist(), data.names(data.test), strict=True))
    coverage = _test_coverage(data)
    # The clips with the most events show best what is found and what is not.
    shown = sorted(data.test.tolist(), key=lambda row: len(data.clips[row].events), reverse=True)[:3]
    front_end = build_front_end(experiment)
    views = [ClipView(names[row], _in_decibel(front_end, features[row]), front_end.seconds) for row in shown]
    result = evaluate_event_scores(
        {
            network: NetworkScores({names[row]: found for row, found in of.strong.items()}, of.loss_strong)
            for network, of in scores.items()
        },
        data.reference_events(data.test),
        data.durations(data.test),
        labels=data.classes,
        hop=hop,
        median_length=experiment.mean_teacher.median_filter,
        listed=coverage.listed if coverage else len(data.test),
        rules=event_rules(experiment.evaluation),
        clip_seconds=front_end.seconds,
        views=views,
        note=describe_note(data),
    )
    covered = {f"coverage/{part.subset}": part.found / part.listed for part in data.coverage if part.listed}
    return replace(result, metrics=result.metrics | covered)


def _in_decibel(front_end: Any, mel: Any) -> Any:
    """Stored mel amplitudes ``[mel, frame]`` as people look at them."""
    import torch

    return front_end.to_decibel(torch.tensor(mel)).numpy()
