"""Checks of the settings of scene classification."""

from dcase_sweep.config.schemas import Experiment, SceneEvaluation
from dcase_sweep.utils.errors import UserError


def check_scenes(experiment: Experiment) -> None:
    """Check the settings of scene classification.

    A configuration without ``evaluation``, from an earlier version, gets its defaults.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    if experiment.training.batch_size is None:
        raise UserError("training.batch_size=null: expected at least 1")
    if experiment.evaluation is None:
        experiment.evaluation = SceneEvaluation()
    precision = experiment.evaluation.precision
    if precision not in (None, 16):
        raise UserError(f"evaluation.precision={precision}: expected 16 or null")
    if precision is not None and experiment.compressed is not None and experiment.compressed.quantize:
        raise UserError(
            "evaluation.precision=16: compression.quantize=true trains for int8, whose rounding float16 would replace; "
            "leave one of them out"
        )
