"""Experiments whose networks are trained together: when they can be, and those of the trials of a search."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.core.hydra_config import HydraConfig

from dcase_sweep.sweep import reporting
from dcase_sweep.utils.turns import STATES, GlobalState, Turn

if TYPE_CHECKING:
    from dcase_sweep.config import Experiment

Returned = TypeVar("Returned")
#: Keys in which experiments that are trained together may differ, apart from those that are a number with a fraction in
#: one of them. Whether they really have the same architecture is decided when their networks have been built.
_FREE = (
    *("seed", "optimizer.", "scheduler.", "augmentation.", "callbacks.", "tracking.", "resume", "hydra."),
    "training.epochs",
    *(f"mean_teacher.{name}" for name in ("consistency_weight", "ema_decay", "ramp_epochs", "median_filter")),
)


def _write_settings(settings: Any) -> None:
    HydraConfig.instance().cfg = settings


#: Hydra's settings, and where reports go, which each of several jobs has for itself.
_SETTINGS = GlobalState(lambda: HydraConfig.instance().cfg, _write_settings)
_REPORTER = GlobalState(reporting.get_reporter, reporting.set_reporter)

#: Packages of learners that are known to train together, so that they need not be imported to be asked.
_SHIPPED = ("dcase_sweep.training.scenes.", "dcase_sweep.training.mean_teacher.")


def find_obstacle(experiment: "Experiment") -> str | None:
    """Return the reason why experiments like this one are not trained together, if the configuration tells it.

    Raises:
        UserError: for a class of a learner that cannot be found.
    """
    from dcase_sweep.config import find_learner, get_learner

    if experiment.framework.name != "torch":
        return f"framework={experiment.framework.name} trains one network at a time"
    learner = get_learner(experiment)
    if not learner.startswith(_SHIPPED) and not vars(find_learner(experiment)).get("trains_together", False):
        return f"task.learner={learner} trains one network at a time (it does not say trains_together)"
    if experiment.compressed is not None:
        return "compression changes each network during the training"
    if experiment.hardware.compile:
        return "hardware.compile compiles each network by itself"
    if experiment.published_checkpoint is not None:
        return "nothing is trained"
    return None


def is_free(key: str) -> bool:
    """Whether experiments that are trained together may differ in a key, or in a group of keys, whatever it is."""
    return f"{key}.".startswith(_FREE)


def must_be_shared(key: str, value: Any) -> bool:
    """Whether experiments that are trained together must have the same value of a key, or of a group of keys."""
    return not isinstance(value, float) and not is_free(key)


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
