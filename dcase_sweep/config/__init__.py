"""Configurations: schemas, validation, and instantiation of the objects that they describe."""

from dcase_sweep.config.checks import check, check_hydra, check_single_choice, task_overrides
from dcase_sweep.config.classes import locate, locate_class
from dcase_sweep.config.event_rules import event_rules
from dcase_sweep.config.flat import flatten, plain, unflatten
from dcase_sweep.config.instantiate import (
    build,
    build_front_end,
    build_model,
    clip_seconds,
    keyword_arguments,
    stored_configuration,
    stores_features,
)
from dcase_sweep.config.metrics import build_metrics
from dcase_sweep.config.places import check_written
from dcase_sweep.config.schemas import (
    Compression,
    Experiment,
    Hardware,
    MeanTeacher,
    Tracking,
)
from dcase_sweep.config.stored import restore_experiment
from dcase_sweep.config.task import (
    Monitor,
    build_task,
    find_learner,
    get_learner,
    get_monitor,
    get_objective,
    get_watched,
    locate_task,
)

__all__ = [
    "Compression",
    "Experiment",
    "Hardware",
    "MeanTeacher",
    "Monitor",
    "Tracking",
    "build",
    "build_front_end",
    "build_metrics",
    "build_model",
    "build_task",
    "check",
    "check_hydra",
    "check_single_choice",
    "check_written",
    "clip_seconds",
    "event_rules",
    "find_learner",
    "flatten",
    "get_learner",
    "get_monitor",
    "get_objective",
    "get_watched",
    "keyword_arguments",
    "locate",
    "locate_class",
    "locate_task",
    "plain",
    "restore_experiment",
    "stored_configuration",
    "stores_features",
    "task_overrides",
    "unflatten",
]
