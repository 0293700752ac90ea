"""Checks of the settings of task 4, and of settings that it does not use."""

from dcase_sweep.config.event_rules import event_rules
from dcase_sweep.config.schemas import Experiment, MeanTeacher
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.numbers import is_integer


def check_events(experiment: Experiment) -> None:
    """Check the settings of sound event detection, including settings without an effect.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    settings, evaluation = experiment.mean_teacher, experiment.evaluation
    if settings is None or evaluation is None:
        missing = "mean_teacher" if settings is None else "evaluation"
        raise UserError(f"{missing}: no settings; expected those of task=4")
    event_rules(evaluation)
    if evaluation.reference:
        from dcase_sweep.evaluation.events.reference import check_reference

        check_reference("evaluation.reference=true")
    _check_mean_teacher(settings)
    if settings.strong + settings.weak == 0 and experiment.published_checkpoint is None:
        raise UserError(
            "mean_teacher.strong=0, mean_teacher.weak=0: no labels in a batch, so nothing can be learned; expected at "
            "least one labelled clip"
        )
    _check_median_filter(settings.median_filter)
    _check_unused(experiment)


def _check_mean_teacher(settings: MeanTeacher) -> None:
    if settings.strong + settings.weak + settings.unlabelled == 0:
        raise UserError("mean_teacher.strong, weak, unlabelled=0: expected at least one clip a batch")
    if settings.consistency_weight < 0:
        raise UserError(f"mean_teacher.consistency_weight={settings.consistency_weight}: expected at least 0")
    if not 0 <= settings.ema_decay < 1:
        raise UserError(f"mean_teacher.ema_decay={settings.ema_decay}: expected 0 to below 1")


def _check_median_filter(value: object) -> None:
    """Check the lengths of the median filter. Class names are compared with the data when these are read."""
    pairs = [(f".{label}", length) for label, length in value.items()] if isinstance(value, dict) else [("", value)]
    for label, length in pairs:
        if not is_integer(length) or length < 1:
            raise UserError(f"mean_teacher.median_filter{label}={length}: expected whole frames, at least 1")


def _check_unused(experiment: Experiment) -> None:
    """Reject settings that have no effect on this task, because users would expect one."""
    size = experiment.training.batch_size
    if size is not None:
        raise UserError(
            f"training.batch_size={size}: no effect on task 4, whose batches contain mean_teacher.strong, weak and "
            "unlabelled clips; set these"
        )
    if experiment.training.normalise_over != "train":
        raise UserError(
            f"training.normalise_over={experiment.training.normalise_over}: no effect on task 4, whose clips are "
            "scaled by their own range; leave it out"
        )
    if not experiment.hardware.channels_last and experiment.hardware.accelerator != "mps":  # which never has it
        raise UserError("hardware.channels_last=false: no effect on task 4, whose network always uses channels last")
