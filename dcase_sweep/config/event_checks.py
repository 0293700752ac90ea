"""The checks of what only task 4 is configured by, and of what it does not use."""

from dcase_sweep.config.event_rules import event_rules
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.errors import UserError


def check_events(experiment: Experiment) -> None:
    """Refuse settings that sound event detection cannot have.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    for group in ("mean_teacher", "evaluation"):
        if getattr(experiment, group) is None:
            raise UserError(f"{group}: no settings; expected those of task=4")
    assert experiment.mean_teacher is not None
    assert experiment.evaluation is not None
    event_rules(experiment.evaluation)
