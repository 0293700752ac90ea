"""Checks of the components of a training, which are instantiated once before any data are read."""

import inspect
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.classes import locate
from dcase_sweep.config.components import (
    CALLBACK,
    SEVERAL,
    SINGLE,
    component_schema,
    inherits,
    make_augmentations,
    make_callbacks,
    make_loss,
    make_optimizer,
    name_augmentations,
)
from dcase_sweep.config.instantiate import build_front_end
from dcase_sweep.config.schedulers import make_scheduler, needs_metric
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.signatures import PARTIAL, TARGET
from dcase_sweep.config.task import get_monitor, get_watched, locate_task
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

_SOME_STEPS = 100
_INTERVALS = ("step", "epoch")
#: Arguments of hooks that Lightning passes by their names.
_BY_NAME = ("stage",)
_ACCUMULATES = ("pytorch_lightning.callbacks.gradient_accumulation_scheduler", "GradientAccumulationScheduler")
_AVERAGED_LATE = ("pytorch_lightning.callbacks.stochastic_weight_avg", "StochasticWeightAveraging")


def component_schemas(composed: DictConfig) -> dict[str, Any]:
    """Return the schema of each component by its key. Hydra's keywords are removed from the configuration.

    Raises:
        UserError: for the first invalid component.
    """
    _check_names(composed)
    found: dict[str, Any] = {}
    for key, role in SINGLE.items():
        node = OmegaConf.select(composed, key)
        if node is None and key == "task.loss":  # if the task's learner has its own loss
            continue
        if role.is_partial and isinstance(node, DictConfig) and PARTIAL in node:
            del node[PARTIAL]
        found[key] = OmegaConf.structured(component_schema(key, node, role))
    for group, role in SEVERAL.items():
        nodes = composed.get(group)
        if nodes is None:
            continue
        if not isinstance(nodes, DictConfig):
            raise UserError(
                f"{group}={printable(repr(nodes), 60)}: expected choices of {group}, or names with a _target_ each"
            )
        found[group] = OmegaConf.create(
            {
                name: OmegaConf.structured(component_schema(f"{group}.{name}", nodes.get(name), role))
                for name in map(str, nodes)
            }
        )
    return found


def _check_names(composed: DictConfig) -> None:
    """Check that the entries of groups with several choices have names."""
    for group in ("augmentation", "callbacks", "logger", "metrics"):
        node = composed.get(group)
        if isinstance(node, DictConfig) and isinstance(node.get(TARGET), str):
            raise UserError(
                f"{group}.{TARGET}={printable(node[TARGET], 80)}: an entry without a name; expected NAME: in its file, "
                f"and {TARGET} below it, indented"
            )


def check_components(experiment: Experiment, network: Any) -> None:
    """Check that components can be instantiated, and that they support the task.

    Args:
        experiment: the experiment, in which other groups are valid.
        network: its network, which may be without weights.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    _check_numbers(experiment.optimizer)
    interval = getattr(experiment.scheduler, "interval", "step")
    if interval not in _INTERVALS:
        raise UserError(f"scheduler.interval={interval}: expected one of {', '.join(_INTERVALS)}")
    optimizer = make_optimizer(experiment.optimizer, _parameters_like(network))
    # The number of steps is known when the data are read. With 1, a part of a schedule could be without any.
    epochs = experiment.training.epochs
    made = make_scheduler(experiment.scheduler, optimizer, epochs=epochs, steps_per_epoch=_SOME_STEPS)
    if made is not None and needs_metric(made["scheduler"]) and made["interval"] == "step":
        raise UserError(
            f"scheduler.interval=step: {experiment.scheduler._target_.rpartition('.')[2]} needs a metric, which is "
            "computed after each epoch; choose scheduler.interval=epoch"
        )
    if experiment.task.loss is not None:
        make_loss(experiment.task.loss)
    _check_batches(experiment)
    _check_augmentations(experiment)
    _check_callbacks(experiment)
    if made is not None and made["interval"] == "step":
        _check_accumulation(experiment)


def _parameters_like(network: Any) -> list[Any]:
    """Return parameters of the same shapes: an optimizer may depend on them, and may not accept the ``meta`` device."""
    import torch

    found = [
        torch.nn.Parameter(torch.empty(each.shape, dtype=each.dtype), requires_grad=each.requires_grad)
        for each in network.parameters()
    ]
    return found or [torch.nn.Parameter(torch.zeros(1))]  # a network may have its parameters only after the first call


def _check_numbers(optimizer: Any) -> None:
    """Check values that optimizers accept but that are not useful for training."""
    rate = getattr(optimizer, "lr", None)
    if isinstance(rate, int | float) and not rate > 0:
        raise UserError(f"optimizer.lr={rate}: expected a positive number")
    for name in ("eps", "weight_decay", "momentum"):
        value = getattr(optimizer, name, None)
        if isinstance(value, int | float) and not value >= 0:
            raise UserError(f"optimizer.{name}={value}: expected at least 0")


def _check_callbacks(experiment: Experiment) -> None:
    for where in _list_callbacks(experiment, _AVERAGED_LATE):
        raise UserError(
            f"{where}: averages after the last validation, so that no validated epoch has its weights; choose "
            "callbacks=weight_averaging"
        )
    if experiment.callbacks:  # instantiating a callback imports Lightning, which takes seconds
        monitor = get_monitor(experiment)
        made = make_callbacks(experiment.callbacks, lambda metric: get_watched(experiment, metric, monitor))
        for (name, node), callback in zip(experiment.callbacks.items(), made, strict=True):
            _check_hooks(f"callbacks.{name}._target_={node._target_}", callback)


def _check_accumulation(experiment: Experiment) -> None:
    """Refuse fewer steps in an epoch than a schedule assumes that is updated after each step."""
    for where in _list_callbacks(experiment, _ACCUMULATES):
        raise UserError(
            f"{where}: takes fewer steps than batches, so that a schedule with scheduler.interval=step would not end "
            "with the training; choose scheduler.interval=epoch"
        )


def _list_callbacks(experiment: Experiment, base: tuple[str, str]) -> list[str]:
    """Return the callbacks of a class, given as its module and name, as they are configured."""
    words = {f"callbacks.{name}._target_": node._target_ for name, node in experiment.callbacks.items()}
    return [f"{key}={target}" for key, target in words.items() if inherits(locate(key, target), base)]


def _check_hooks(where: str, callback: Any) -> None:
    """Refuse a callback of which a hook cannot be called with the arguments that Lightning passes to it."""
    base = next(each for each in type(callback).__mro__ if (each.__module__, each.__name__) == CALLBACK.base)
    for name, hook in vars(base).items():
        own: Any = getattr(callback, name)
        if name.startswith("_") or not inspect.isfunction(hook) or getattr(own, "__func__", hook) is hook:
            continue
        passed = [each for each in list(inspect.signature(hook).parameters.values())[1:] if each.default is each.empty]
        words = {each.name: None for each in passed if each.name in _BY_NAME}
        try:
            inspect.signature(own).bind(*[None] * (len(passed) - len(words)), **words)
        except TypeError:
            wanted = ", ".join(each.name for each in passed)
            raise UserError(
                f"{where}: its {name} takes {inspect.signature(own)}; expected ({wanted}), as Lightning calls it"
            ) from None


def _check_augmentations(experiment: Experiment) -> None:
    """Refuse an augmentation that cannot be made, or not be applied to the features of the front end."""
    make_augmentations(experiment.augmentation, domain="waveforms", sample_rate=experiment.task.sample_rate)
    for name, augmentation in name_augmentations(experiment.augmentation).items():
        if hasattr(augmentation, "check_shape"):
            try:
                augmentation.check_shape(tuple(build_front_end(experiment).shape))
            except ValueError as error:
                raise UserError(f"augmentation.{name}.{error}") from None


def _check_batches(experiment: Experiment) -> None:
    """Check that augmentations are for the task's kind of batches: of clips or of events."""
    wanted = getattr(locate_task(experiment.task._target_), "batches", "clips")
    for name, node in experiment.augmentation.items():
        found = getattr(locate(f"augmentation.{name}._target_", node._target_), "batches", wanted)
        if found != wanted:
            raise UserError(
                f"augmentation.{name}: is for batches of {found}; task {experiment.task.name} has batches of {wanted}; "
                f"choose another augmentation, or remove it with ~augmentation.{name}"
            )
