"""Which front ends and tasks go together."""

from dcase_sweep.config.instantiate import build_front_end
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.errors import UserError

#: What mean-teacher training asks of a front end.
_OF_MEAN_TEACHER = ("normalise", "to_decibel", "hop")


def check_front_end(experiment: Experiment) -> None:
    """Refuse a front end that the task's training cannot use.

    Raises:
        UserError: in one line, also for what the front end's constructor refuses.
    """
    front_end = build_front_end(experiment)
    where = f"front_end._target_={experiment.front_end._target_}"
    missing = [name for name in _OF_MEAN_TEACHER if not hasattr(front_end, name)]
    if experiment.task.kind == "events" and missing:
        raise UserError(
            f"{where}: has no {missing[0]}; the training of task {experiment.task.name} mixes up mel amplitudes and "
            "scales them afterwards: choose front_end=amplitude_mel, or a class with hop, normalise and to_decibel"
        )
    if experiment.task.kind == "scenes" and hasattr(front_end, "normalise"):
        raise UserError(
            f"{where}: leaves its scaling (normalise) to the training, and that of task {experiment.task.name} does "
            "none; choose a front end such as log_mel"
        )
