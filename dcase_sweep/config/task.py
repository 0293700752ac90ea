"""The task object of a configuration, and settings that depend on it.

The classes are in `dcase_sweep.tasks`, or in the user's project. They depend on the configuration, so they are located
here by name.
"""

import re
from dataclasses import dataclass, fields
from typing import Any, Literal

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.instantiate import keyword_arguments, make_objects
from dcase_sweep.config.metrics import build_metrics, find_metric
from dcase_sweep.config.schemas import Experiment, Task
from dcase_sweep.config.signatures import read_signature
from dcase_sweep.utils.errors import UserError

Mode = Literal["max", "min"]
#: Keys of ``task`` for all classes.
_OF_ALL = frozenset(member.name for member in fields(Task))
#: Metrics of all tasks that are smaller for a better run, apart from losses.
_COSTS = re.compile(r"(complexity/(?!within_)|energy/|time/|compression/accuracy_lost$)|.*error_rate")


@dataclass(frozen=True, slots=True)
class Monitor:
    """The validation metric that selects an epoch, and its direction."""

    metric: str
    mode: Mode


def locate_task(target: str) -> Any:
    """Locate the class of a task.

    Raises:
        UserError: if the class does not exist, or is not a task.
    """
    return locate_class("task", target)


def build_task(experiment: Experiment) -> Any:
    """Build the task of an experiment (`tasks.base.Task`).

    Its constructor gets the keys of ``task`` for which it has arguments. The other keys are used in the composition,
    for example the default model or values to which the recipe refers.

    Raises:
        UserError: if the constructor rejects an argument.
    """
    settings = experiment.task
    made = locate_task(settings._target_)
    signature = read_signature(made)
    given = {
        name: make_objects(f"task.{name}", value)
        for name, value in keyword_arguments(settings).items()
        if name in signature.arguments or (signature.is_open and name not in _OF_ALL)
    }
    try:
        return made(**given)
    except ValueError as error:
        raise UserError(f"task.{error}") from None


def find_learner(experiment: Experiment) -> type:
    """Locate the class that trains: ``task.learner``, or the task's default for the framework.

    Raises:
        UserError: if the task has none for this framework, or the class is not a learner.
    """
    return locate_class("task.learner", get_learner(experiment), "task.learner")


def get_learner(experiment: Experiment) -> str:
    """Return the full name of the class that trains; see `find_learner`."""
    if experiment.task.learner is not None:
        return experiment.task.learner
    learners = locate_task(experiment.task._target_).learners
    found = learners.get(experiment.framework.name)
    if found is None:
        raise UserError(
            f"framework={experiment.framework.name} has no learner for task={experiment.task.name}; expected one of "
            f"{', '.join(learners)}, or task.learner=CLASS"
        )
    return str(found)


def get_monitor(experiment: Experiment) -> Monitor:
    """Return the metric that selects an epoch, ``task.monitor`` or the task's default, and its direction.

    The direction is ``task.mode`` if it is set. Otherwise extra metrics define their own direction, a loss is
    minimized, and so is a metric of which a column of the task says that smaller values are better; any other metric
    is maximized.
    """
    settings = experiment.task
    metric = settings.monitor or locate_task(settings._target_).monitor
    return Monitor(metric, settings.mode or _infer_mode(experiment, metric))  # type: ignore[arg-type]


def get_watched(experiment: Experiment, metric: str | None, selecting: Monitor) -> Monitor:
    """Return the metric that a callback or a scheduler watches, and its direction.

    Args:
        metric: name of the metric; None = the one that selects an epoch.
        selecting: the metric that selects an epoch.
    """
    if metric is None or metric == selecting.metric:
        return selecting
    return Monitor(metric, _infer_mode(experiment, metric))


def get_objective(experiment: Experiment) -> dict[str, str]:
    """Return the default objective of a search, and its direction, ``maximize`` or ``minimize``.

    It is ``task.objective``, a metric of a finished run, or the monitored metric at the best epoch.
    """
    monitor = get_monitor(experiment)
    metric = experiment.task.objective or f"best/{monitor.metric}"
    mode = monitor.mode if metric.removeprefix("best/") == monitor.metric else _infer_mode(experiment, metric)
    return {metric: "maximize" if mode == "max" else "minimize"}


def _infer_mode(experiment: Experiment, metric: str) -> Mode:
    metrics = build_metrics(experiment)
    extra = find_metric(metric, metrics)
    if extra is not None:
        return "max" if getattr(metrics[extra], "larger_is_better", True) else "min"
    name = metric.rpartition("/")[2]
    columns = locate_task(experiment.task._target_).columns
    smaller = {column.metric.rpartition("/")[2] for column in columns if not column.larger_is_better}
    return "min" if "loss" in name or name in smaller or _COSTS.match(metric) else "max"
