"""Configurations: their schemas, their checks, and the objects that they describe."""

from dcase_sweep.config.building import arguments, build, build_model, locate, stored_configuration
from dcase_sweep.config.checks import check
from dcase_sweep.config.event_rules import event_rules
from dcase_sweep.config.flat import flatten, plain, unflatten
from dcase_sweep.config.schemas import Augmentation, Experiment, Hardware, MeanTeacher, Optimizer, Tracking

__all__ = [
    "Augmentation",
    "Experiment",
    "Hardware",
    "MeanTeacher",
    "Optimizer",
    "Tracking",
    "arguments",
    "build",
    "build_model",
    "check",
    "event_rules",
    "flatten",
    "locate",
    "plain",
    "stored_configuration",
    "unflatten",
]
