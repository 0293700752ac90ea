"""Configurations: their schemas, their checks, and the objects that they describe."""

from dcase_sweep.config.checks import check, check_hydra, refuse_several, task_overrides
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
)
from dcase_sweep.config.places import check_written
from dcase_sweep.config.schemas import (
    Augmentation,
    Compression,
    Experiment,
    Hardware,
    MeanTeacher,
    Optimizer,
    Tracking,
)
from dcase_sweep.config.stored import restore_experiment

__all__ = [
    "Augmentation",
    "Compression",
    "Experiment",
    "Hardware",
    "MeanTeacher",
    "Optimizer",
    "Tracking",
    "build",
    "build_front_end",
    "build_model",
    "check",
    "check_hydra",
    "check_written",
    "clip_seconds",
    "event_rules",
    "flatten",
    "keyword_arguments",
    "locate",
    "locate_class",
    "plain",
    "refuse_several",
    "restore_experiment",
    "stored_configuration",
    "task_overrides",
    "unflatten",
]
