"""From a typed group to the object that it describes."""

import inspect
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

from omegaconf import MISSING

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.constructors import bounded_construction
from dcase_sweep.config.flat import plain
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.sources import hash_module
from dcase_sweep.utils.errors import UserError

#: How recordings shorter than a clip are extended: a scene goes on, an event has its times.
PADDING = {"scenes": "repeat", "events": "zeros"}


def keyword_arguments(node: Any) -> dict[str, Any]:
    """The keyword arguments that a typed group holds for its class."""
    return {member.name: getattr(node, member.name) for member in fields(node) if member.name != "_target_"}


def build(group: str, node: Any, **given: Any) -> Any:
    """The object that a typed group describes.

    Raises:
        UserError: with the group's name before what the constructor refused.
    """
    missing = [name for name, value in keyword_arguments(node).items() if value == MISSING]
    if missing:
        raise UserError(f"{group}.{missing[0]}: no value; expected one for {node._target_}")
    target: Any = locate_class(group, node._target_)
    arguments = keyword_arguments(node)
    if group == "data" and not _accepts(target, "seconds"):
        arguments.pop("seconds", None)  # of every data set's clips, whether its class asks for it or not
    try:
        return target(**given, **arguments)
    except ValueError as error:
        raise UserError(f"{group}.{error}") from None


def _accepts(target: Any, name: str) -> bool:
    """Whether a constructor takes a keyword argument."""
    parameters = inspect.signature(target).parameters
    return name in parameters or any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


def clip_seconds(experiment: Experiment) -> float:
    """Length of the clips that a network is given, in s."""
    seconds: float = experiment.data.seconds
    return seconds


def build_front_end(experiment: Experiment) -> Any:
    """The front end for clips of the experiment's sample rate and length (`audio.front_end.FrontEnd`).

    Raises:
        UserError: for what its constructor refuses, or for a class that is made for other clips.
    """
    node = experiment.front_end
    target: Any = locate_class("front_end", node._target_)
    clip = {"sample_rate": experiment.task.sample_rate, "seconds": clip_seconds(experiment)}
    front_end = build("front_end", node, **{name: value for name, value in clip.items() if _accepts(target, name)})
    for (name, wanted), key in zip(clip.items(), ("task.sample_rate", "data.seconds"), strict=True):
        found = getattr(front_end, name, None)
        if found is None:
            setattr(front_end, name, wanted)
        elif found != wanted:
            raise UserError(
                f"front_end._target_={node._target_}: computes features of clips with {name}={found}; expected "
                f"{key}={wanted}, which its constructor gets as {name} if it takes it"
            )
    front_end.padding = PADDING.get(experiment.task.kind, "repeat")
    return front_end


def build_model(experiment: Experiment, *, classes: int, device: str = "cpu") -> Any:
    """The network for the front end's maps; on the ``meta`` device it is checked but holds no weights.

    Raises:
        UserError: for what its constructor refuses; on the ``meta`` device also for a network that no machine could
            train, as `bounded_construction` says.
    """
    import torch

    front_end = build_front_end(experiment)
    with torch.device(device), bounded_construction("model") if device == "meta" else nullcontext():
        return build("model", experiment.model, input_shape=front_end.shape, classes=classes)


def stored_configuration(experiment: Experiment, front_end: Any) -> dict[str, Any]:
    """What stored features depend on: the front end's settings but those that come into play behind the store.

    Where more frames are stored than a network sees, their number is part of it; so is how short recordings are
    extended, where the task extends them otherwise than the class does by itself, and so is the source of a front end
    from outside this package.
    """
    behind = getattr(front_end, "behind_store", ())
    settings = {name: value for name, value in plain(experiment.front_end).items() if name not in behind}
    settings |= {"sample_rate": front_end.sample_rate, "seconds": front_end.seconds}
    if front_end.padding != getattr(type(front_end), "padding", None):
        settings["padding"] = front_end.padding
    stored, sources = getattr(front_end, "stored_shape", front_end.shape), hash_module(experiment.front_end._target_)
    if stored != front_end.shape:
        settings["stored_frames"] = stored[1]
    if sources:
        settings["sources"] = sources
    return settings
