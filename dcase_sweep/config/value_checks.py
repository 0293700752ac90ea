"""Checks of the values of a typed experiment, and of combinations of settings from different groups."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from dcase_sweep.config.bounds import check_bounds
from dcase_sweep.config.classes import locate, locate_class
from dcase_sweep.config.component_checks import check_components
from dcase_sweep.config.compression_checks import check_compression
from dcase_sweep.config.group_schemas import TARGETED
from dcase_sweep.config.instantiate import build, build_front_end, build_model
from dcase_sweep.config.metrics import check_metrics
from dcase_sweep.config.places import check_places
from dcase_sweep.config.planned import is_plannable
from dcase_sweep.config.schemas import Experiment, Hardware
from dcase_sweep.config.task import build_task, get_learner, locate_task
from dcase_sweep.config.waveform_checks import check_waveforms
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.names import LONGEST_RUN_NAME, check_name
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.time_limit import parse_duration

_CHOICES = {
    "training.normalise_over": ("train+validation", "train"),
    "hardware.accelerator": ("cpu", "gpu", "mps"),
    "hardware.precision": ("auto", "32-true", "16-mixed", "bf16-mixed"),
    "hardware.cache_device": ("memory", "device"),
    "tracking.figures": ("auto", "all", "none"),
    "tracking.energy_mode": ("machine", "process"),
}
#: Ranges, besides those of `BOUNDS`, which prevent exhausting the machine.
_RANGES: dict[str, tuple[float, float]] = {
    "training.best_after_fraction": (0, 0.999),
    "tracking.timeout": (0, 3600),
    "tracking.start_timeout": (0, 86_400),
    "seed": (0, 2**32 - 1),
}
#: The kind of recordings that are not read, which fit every task.
ANY_KIND = "*"
#: Groups on which the features depend, and with them the network.
_OF_FEATURES = ("front_end", "task", "data")
#: Further groups on which the components of a training depend. On the network only an optimizer may depend.
_OF_TRAINING = ("training", "optimizer", "scheduler", "augmentation", "callbacks")


@dataclass(frozen=True, slots=True)
class Changed:
    """The groups of an experiment that differ from those of an experiment that has been checked; None = all."""

    groups: frozenset[str] | None = None

    def has(self, *groups: str) -> bool:
        """Whether one of these groups has changed."""
        return self.groups is None or not self.groups.isdisjoint(groups)


def check_experiment(
    experiment: Experiment,
    values: Mapping[str, Any],
    changed: Changed = Changed(),
    network: Any = None,
    *,
    needs_network: bool = True,
) -> Any:
    """Check the values of an experiment. What depends only on groups that have not changed is not checked again.

    Args:
        experiment: the experiment; a learner from outside this package is set in it.
        values: its values as dotted keys and plain values.
        changed: the groups that have changed since the last check.
        network: the network without weights that the last check has returned, for the same class and optimizer.
        needs_network: whether the network is built to check it; an inspection of data does not need one.

    Returns:
        The network without weights; that of the last check if a network like it need not be built to check it.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    _check_values(experiment, values, changed)
    _check_texts(experiment, values, changed)
    if changed.has("store", "tracking", "data"):
        check_places(experiment)
    check_bounds(values, changed.groups)
    network = _check_pairs(experiment, changed, network, needs_network)
    check_compression(experiment)
    build_task(experiment).check(experiment)
    if changed.has("metrics"):
        check_metrics(experiment)
    return network


def get_kind(group: str, target: str) -> str | None:
    """Return the kind of a data set or a network; None if it has none."""
    return getattr(locate_class(group, target), "kind", None)


def get_kinds(task: Any, group: str) -> tuple[str, ...]:
    """Return the kinds of data sets or networks that a task supports."""
    return (group == "model" and task.model_kinds) or (task.kind,)


def _check_texts(experiment: Experiment, values: Mapping[str, Any], changed: Changed) -> None:
    """Reject empty texts. An empty path would be the working folder, and an empty name is useless."""
    own = [group for group in TARGETED if getattr(experiment, group)._target_.startswith("dcase_sweep.")]
    foreign = tuple(f"{group}." for group in TARGETED if group not in own)
    for key, value in values.items():
        if not changed.has(key.partition(".")[0]) or key.startswith(
            (*foreign, "tracking.tags.", "logger.", "metrics.")
        ):
            continue
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.strip():
                raise UserError(f"{key}={text!r}: empty; expected a name or a path, or leave it out")
            if isinstance(text, str) and "\0" in text:
                raise UserError(f"{key}={text!r}: contains a NUL character; expected text")


def _check_values(experiment: Experiment, values: Mapping[str, Any], changed: Changed) -> None:
    for key, value in values.items():
        if not changed.has(key.partition(".")[0]):
            continue
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise UserError(f"{key}={value}: expected a finite number")
    for key, allowed in _CHOICES.items():
        choice = attrgetter(key)(experiment)
        if choice not in allowed:
            raise UserError(f"{key}={choice}: expected one of {', '.join(allowed)}")
    for key, (low, high) in _RANGES.items():
        number = attrgetter(key)(experiment)
        if not low <= number <= high:
            raise UserError(f"{key}={number}: expected from {low} to {high}")
    check_duration("hardware.time_limit", experiment.hardware.time_limit)
    if experiment.task.mode not in (None, "max", "min"):
        raise UserError(f"task.mode={experiment.task.mode}: expected max, min or null")
    if experiment.tracking.run_name is not None:
        check_name(experiment.tracking.run_name, "tracking.run_name", LONGEST_RUN_NAME)


def check_duration(key: str, value: object) -> None:
    """Check a time limit.

    Raises:
        UserError: if it is none.
    """
    if value is None:
        return
    try:
        parse_duration(value)
    except ValueError as error:
        raise UserError(f"{key}={printable(value, 80)}: {error}, or null") from None


def _check_pairs(experiment: Experiment, changed: Changed, network: Any, needs_network: bool) -> Any:
    """Check combinations of settings from different groups, and return a network without weights."""
    _check_hardware(experiment.hardware)
    task = locate_task(experiment.task._target_)
    for group in ("model", "data"):
        _check_kind(experiment, group, get_kinds(task, group))
    learner = get_learner(experiment)
    if not learner.startswith("dcase_sweep."):  # set, so that its source counts like that of other components
        experiment.task.learner = learner
    if experiment.framework.check is not None:
        locate("framework.check", experiment.framework.check)(experiment)
    if changed.has("data"):
        build("data", experiment.data)
    if changed.has(*_OF_FEATURES):
        build_task(experiment).check_front_end(experiment, build_front_end(experiment))
    check_waveforms(experiment)
    if not needs_network:
        return network
    is_known = network is not None and not changed.has(*_OF_FEATURES)
    if not is_known or (changed.has("model") and not is_plannable(experiment)):
        network = build_model(experiment, classes=2, device="meta")
        check_components(experiment, network)
    elif changed.has(*_OF_TRAINING):
        check_components(experiment, network)
    return network


def _check_hardware(hardware: Hardware) -> None:
    """Check settings that not every device has."""
    accelerator, precision = hardware.accelerator, hardware.precision
    if accelerator != "gpu" and hardware.graphs:
        raise UserError(f"hardware.graphs=true: CUDA graphs are for hardware=gpu; on {accelerator} leave it out")
    if accelerator != "gpu" and hardware.mps:
        raise UserError(f"hardware.mps=true: NVIDIA MPS is for hardware=gpu; on {accelerator} leave it out")
    if accelerator == "cpu" and precision == "16-mixed":
        raise UserError("hardware.precision=16-mixed: float16 is for GPUs; on a cpu choose auto, 32-true or bf16-mixed")
    if accelerator == "mps" and precision not in ("auto", "32-true"):
        raise UserError(f"hardware.precision={precision}: hardware=mps trains in float32; choose auto or 32-true")


def _check_kind(experiment: Experiment, group: str, kinds: tuple[str, ...]) -> None:
    """Check that the network and the data set belong to the task."""
    target = getattr(experiment, group)._target_
    offered = get_kind(group, target)
    if offered in kinds or (group == "data" and offered == ANY_KIND):
        return
    name, wanted = target.rpartition(".")[2], " or ".join(kinds)
    if offered is None:
        raise UserError(f'{group}._target_={target}: has no attribute kind; add to class {name}: kind = "{kinds[0]}"')
    raise UserError(
        f"{group} {name} is for {offered}, but task={experiment.task.name} is for {wanted}; choose another task "
        f"or {group}"
    )
