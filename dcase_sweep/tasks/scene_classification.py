"""Acoustic scene classification: DCASE 2021 task 1A and similar tasks."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.config import Experiment, build_metrics, locate_class
from dcase_sweep.config.scene_checks import check_scenes
from dcase_sweep.config.schemas import SceneEvaluation
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.evaluation.metrics import compute_metrics, try_metrics
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.result import Column
from dcase_sweep.tasks.base import Task
from dcase_sweep.tasks.notes import describe_note
from dcase_sweep.tasks.prediction import ScenePrediction
from dcase_sweep.tasks.protocols import Predictor
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)


class SceneClassification(Task):
    """Classification of clips into scenes, evaluated by accuracy and log loss: overall, by scene and by device.

    Martín-Morató et al., "Low-complexity acoustic scene classification for multi-device audio", 2021.
    """

    kind: ClassVar[str] = "scenes"
    data_type: ClassVar[type] = SceneData
    learners: ClassVar[Mapping[str, str]] = {
        "torch": "dcase_sweep.training.scenes.SceneLearner",
        "tensorflow": "dcase_sweep.training.keras.learner.KerasSceneLearner",
    }
    monitor: ClassVar[str] = "validation/accuracy"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("test/accuracy", "accuracy %", factor=100.0, digits=1),
        Column("test/log_loss", "log loss", larger_is_better=False),
        Column("best/validation/accuracy", "validation %", factor=100.0, digits=1),
    )
    metrics: ClassVar[tuple[str, ...]] = (
        *("test/accuracy", "test/log_loss", "test/f1", "test/accuracy_float16", "test/log_loss_float16"),
        *("test/accuracy_scene_*", "test/log_loss_scene_*", "test/accuracy_device_*", "test/log_loss_device_*"),
    )
    evaluation: ClassVar[type | None] = SceneEvaluation
    demo_data: ClassVar[str | None] = "dcase_sweep.demo.tau.DemoScenes"
    prediction: ClassVar[type | None] = ScenePrediction
    counts_statistics: ClassVar[bool] = True
    can_compress: ClassVar[bool] = True
    can_export: ClassVar[bool] = True

    def check(self, experiment: Experiment) -> None:
        """Check the settings of scene classification."""
        check_scenes(experiment)

    def check_front_end(self, experiment: Experiment, front_end: Any) -> None:
        """Check that the front end does not require scaling by the training, which this task does not do."""
        if hasattr(front_end, "normalise"):
            raise UserError(
                f"front_end._target_={experiment.front_end._target_}: leaves its scaling (normalise) to the training, "
                f"and that of task {experiment.task.name} does none; choose a front end such as log_mel"
            )

    def check_files(self, experiment: Experiment) -> None:
        """Check the weights to start from and the compression of the network."""
        if experiment.compressed is not None:
            from dcase_sweep.training.compression.start import check_start

            check_start(experiment)

    def validate_data(self, experiment: Experiment, data: SceneData) -> None:
        """Check the classes of the training clips, and that loss and extra metrics can be computed for the classes."""
        from dcase_sweep.training.loss_check import try_scene_loss
        from dcase_sweep.training.network_check import try_scene_network

        _check_trained_classes(data)
        try_scene_network(experiment, len(data.classes))
        try_scene_loss(experiment, len(data.classes))
        try_metrics(build_metrics(experiment), data.targets[data.validation], len(data.classes))

    def make_predictor(
        self, experiment: Experiment, network: Any, state: Mapping[str, Any], classes: Sequence[str], *, where: str
    ) -> Predictor:
        """Return a predictor of the most probable scene from probabilities ``[batch, class]``."""
        from dcase_sweep.tasks.predictors import ScenePredictor

        return ScenePredictor(experiment, network, state, classes, where)

    def pool(self, experiment: Experiment, folders: Sequence[Path]) -> EvaluationResult:
        """Compute the official table for the test clips of all runs."""
        from dcase_sweep.evaluation.scenes.pooling import evaluate_scene_files

        noun = getattr(locate_class("data", experiment.data._target_), "class_noun", "class")
        return evaluate_scene_files(
            folders,
            extra=lambda scores, truth: compute_metrics(build_metrics(experiment), scores, truth, "test/"),
            noun=noun,
        )

    def evaluate(self, experiment: Experiment, data: SceneData, learner: Any, features: Any) -> EvaluationResult:
        """Compute the metrics of the official table from probabilities ``[clip, class]``."""
        from dcase_sweep.evaluation.scenes.result import evaluate_scene_scores

        scores = learner.predict(data.test)
        broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if len(broken):
            raise UserError(
                f"{data.recordings[data.test[broken[0]]].filename}: the network's scores are NaN or infinite, as those "
                f"of {len(broken)} of {len(scores)} test clips; expected probabilities: lower optimizer.lr or use "
                "hardware.precision=32-true"
            )
        return evaluate_scene_scores(
            scores,
            data.targets[data.test],
            classes=data.classes,
            devices=data.devices(data.test),
            filenames=[data.recordings[index].filename for index in data.test],
            note=describe_note(data),
            extra=compute_metrics(build_metrics(experiment), scores, data.targets[data.test], "test/"),
            float16_scores=_predict_in_float16(experiment, data, learner),
            noun=data.class_noun,
        )


def _predict_in_float16(experiment: Experiment, data: SceneData, learner: Any) -> NDArray[np.float32] | None:
    """Compute scores in float16 if configured and if the learner supports it; otherwise return None."""
    if experiment.evaluation.precision is None:
        return None
    if not hasattr(learner, "predict_in_float16"):
        log.warning(
            f"float16   {type(learner).__name__} has no predict_in_float16; the figures in float16 are not computed"
        )
        return None
    scores: NDArray[np.float32] = learner.predict_in_float16(data.test)
    broken = int((~np.isfinite(scores).all(axis=1)).sum())
    if broken:
        log.warning(
            f"float16   activations exceed 65,504 in {broken} of {len(scores)} test clips, whose scores are infinite; "
            "the figures in float16 are not computed"
        )
        return None
    return scores


def _check_trained_classes(data: SceneData) -> None:
    """Check that training clips of several classes are left, and log the classes without any.

    Raises:
        UserError: if all are of one class.
    """
    trained = {data.recordings[index].scene_label for index in data.train}
    if len(trained) < 2 <= len(data.classes):
        raise UserError(
            f"{data.root}: all readable training clips are of the class {', '.join(trained)}; expected at least two "
            "classes"
        )
    untrained = [label for label in data.classes if label not in trained]
    if untrained:
        log.warning(f"data      no readable training clip of {printable(', '.join(untrained))}")
