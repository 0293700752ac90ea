"""Instantiation of the scheduler, with the schedulers that it consists of."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dcase_sweep.config.components import (
    SCHEDULER,
    component_signature,
    component_values,
    given_arguments,
    inherits,
    locate_component,
    make_component,
)
from dcase_sweep.config.signatures import PARTIAL, TARGET, check_keys
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError

#: The scheduler that needs a metric, and the one that computes the number of its updates.
_ON_PLATEAU, _ONE_CYCLE = (("torch.optim.lr_scheduler", name) for name in ("ReduceLROnPlateau", "OneCycleLR"))
#: A scheduler that is an argument of another one, which decides when it is updated.
_INNER = replace(SCHEDULER, extra_keys=())


def make_scheduler(
    node: Any, optimizer: Any, *, epochs: int, steps_per_epoch: int, monitor: str | None = None, mode: str | None = None
) -> dict[str, Any] | None:
    """Create the configured scheduler in Lightning's format; None for a constant learning rate.

    Schedulers within its arguments, such as those of ``torch.optim.lr_scheduler.SequentialLR``, get the optimizer too.
    The numbers of steps that a scheduler gets are those of its updates: with ``interval: epoch`` an epoch has one.

    Args:
        monitor: the metric for `ReduceLROnPlateau`, unless the configuration names one.
        mode: the direction of the metric: ``max`` where larger is better, else ``min``; for the same.

    Raises:
        UserError: if a constructor rejects its arguments.
    """
    values = component_values(node)
    target = locate_component("scheduler", values[TARGET], SCHEDULER)
    interval = values.get("interval") or ("step" if inherits(target, _ONE_CYCLE) else "epoch")
    updates_per_epoch = steps_per_epoch if interval == "step" else 1
    offered: dict[str, Any] = {
        "steps": epochs * updates_per_epoch,
        "epochs": epochs,
        "steps_per_epoch": updates_per_epoch,
        "interval": interval,
    }
    inner = {name: _make_inner(f"scheduler.{name}", value, optimizer, offered) for name, value in values.items()}
    if inherits(target, _ON_PLATEAU):
        offered["mode"] = mode  # other schedulers use this name for something else
    scheduler = make_component("scheduler", inner, SCHEDULER, optimizer, **offered)
    if scheduler is None:
        return None
    if not hasattr(scheduler, "step") or not hasattr(scheduler, "optimizer"):
        raise UserError(f"scheduler.{TARGET}={values[TARGET]}: made a {type(scheduler).__name__}; expected a scheduler")
    words: dict[str, Any] = {"scheduler": scheduler, "interval": interval}
    monitored = values.get("monitor") or (monitor if needs_metric(scheduler) else None)
    return words | ({"monitor": monitored} if monitored else {})


def needs_metric(scheduler: Any) -> bool:
    """Whether a scheduler is updated with a metric."""
    return inherits(type(scheduler), _ON_PLATEAU)


def _make_inner(key: str, value: Any, optimizer: Any, offered: Mapping[str, Any]) -> Any:
    """Return a value of the configuration with its schedulers instantiated. Other objects are left as they are."""
    if isinstance(value, list):
        return [_make_inner(f"{key}.{place}", each, optimizer, offered) for place, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get(TARGET), str):
        target = locate_component(key, value[TARGET], _INNER)
        if given_arguments(target, _INNER) != [_INNER.given_name]:
            return value
        check_keys(f"{key}.", map(str, value), component_signature(target, _INNER, True), more=(PARTIAL,))
        inner = {name: _make_inner(f"{key}.{name}", each, optimizer, offered) for name, each in value.items()}
        return make_component(key, inner, _INNER, optimizer, **offered)
    return {name: _make_inner(f"{key}.{name}", each, optimizer, offered) for name, each in value.items()}


def check_length(scheduler: Any, *, interval: str, epochs: int, steps_per_epoch: int) -> None:
    """Check that a scheduler of a fixed number of steps is not shorter than the training, in which it would fail.

    Raises:
        UserError: with the number of steps of the training.
    """
    length = getattr(scheduler, "total_steps", None)
    needed = epochs * (steps_per_epoch if interval == "step" else 1)
    if isinstance(length, int) and length < needed:
        steps = pluralize(epochs, "epoch")
        if interval == "step":
            steps += f" of {pluralize(steps_per_epoch, 'step')}"
        raise UserError(
            f"scheduler.total_steps={length}: too few for the training, which has {steps}; expected at least {needed}, "
            "or leave total_steps out"
        )
