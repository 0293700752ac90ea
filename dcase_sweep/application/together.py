"""Experiments whose networks are trained together: when they can be, and those of the trials of a search."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.core.hydra_config import HydraConfig

from dcase_sweep.sweep import reporting
from dcase_sweep.utils.turns import STATES, GlobalState, Turn

if TYPE_CHECKING:
    from dcase_sweep.config import Experiment

Returned = TypeVar("Returned")
#: Keys in which experiments that are trained together may differ, apart from numbers with a fraction. Whether they
#: really have the same architecture is decided when their networks have been built.
_FREE = ("seed", "optimizer.", "scheduler.", "augmentation.", "tracking.", "resume", "hydra.", "training.epochs")


def _write_settings(settings: Any) -> None:
    HydraConfig.instance().cfg = settings


#: Hydra's settings, and where reports go, which each of several jobs has for itself.
_SETTINGS = GlobalState(lambda: HydraConfig.instance().cfg, _write_settings)
_REPORTER = GlobalState(reporting.get_reporter, reporting.set_reporter)


def find_obstacle(experiment: "Experiment") -> str | None:
    """Return the reason why experiments like this one are not trained together, if the configuration tells it.

    Raises:
        UserError: for a class of a learner that cannot be found.
    """
    from dcase_sweep.config import get_learner

    if experiment.framework.name != "torch":
        return f"framework={experiment.framework.name} trains one network at a time"
    if not get_learner(experiment).startswith("dcase_sweep.training.scenes."):
        return f"task={experiment.task.name}: its learner trains one network at a time"
    if experiment.compressed is not None:
        return "compression changes each network during the training"
    if experiment.hardware.compile:
        return "hardware.compile compiles each network by itself"
    if experiment.published_checkpoint is not None:
        return "nothing is trained"
    return None


def must_be_shared(key: str, value: Any) -> bool:
    """Whether experiments that are trained together must have the same value of a key, or of a group of keys."""
    return not isinstance(value, float) and not f"{key}.".startswith(_FREE)


def make_turns(runs: Mapping[str, Callable[[], Any]]) -> list[Turn]:
    """Make the turns of jobs, name → function that runs the job. Each job has all state of the process for itself."""
    from dcase_sweep.training.fused.random_state import RANDOM

    return [Turn(run, (*STATES, RANDOM, _SETTINGS, _REPORTER), name=name) for name, run in runs.items()]


def run_together(runs: Mapping[str, Callable[[], Returned]], key: str) -> list[Returned]:
    """Run jobs of one architecture up to their trainings, and these together. Returns the values of their functions.

    Args:
        runs: name → function that runs a job.
        key: the setting of the number of jobs, for a message.

    Raises:
        Interrupted: after a signal, in every job that has begun, too.
        BaseException: what has ended a job, likewise.
    """
    from dcase_sweep.training.fused.coordinator import Coordinator

    turns = make_turns(runs)
    Coordinator(turns, None, key=key).run()
    return [turn.result for turn in turns]
