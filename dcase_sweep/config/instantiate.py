"""Instantiation of the objects that typed groups describe."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.constructors import bounded_construction
from dcase_sweep.config.flat import plain
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.signatures import TARGET, names_class, read_signature
from dcase_sweep.config.sources import hash_module
from dcase_sweep.utils.errors import UserError, get_reason, is_out_of_memory
from dcase_sweep.utils.failures import describe_failure

#: The beginning of the names of this package's modules.
_OWN = "dcase_sweep."


def keyword_arguments(node: Any) -> dict[str, Any]:
    """Return the keyword arguments of a typed group for its class, with nested objects as descriptions."""
    return {member.name: getattr(node, member.name) for member in fields(node) if member.name != TARGET}


def make_objects(key: str, value: Any) -> Any:
    """Instantiate every ``_target_`` in a value of a configuration, by the rules of Hydra.

    Args:
        key: the key of the value, for messages.

    Raises:
        UserError: if an object cannot be instantiated.
    """
    if not names_class(value):
        return value
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        if isinstance(value, Mapping) and TARGET in value:
            return instantiate(value, _convert_="all")
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        made = {name: make_objects(f"{key}.{name}", each) for name, each in pairs}
    except InstantiationException as error:
        cause = error.__cause__ or error
        reason = get_reason(cause)
        raise UserError(f"{key}: {reason}; expected what {value[TARGET]} takes") from None
    return made if isinstance(value, Mapping) else list(made.values())


def build(group: str, node: Any, **given: Any) -> Any:
    """Instantiate the object of a typed group.

    Raises:
        UserError: if the constructor rejects its arguments, with the name of the group.
    """
    target = locate_class(group, node._target_)
    values = keyword_arguments(node)
    if group == "data" and not _accepts(target, "seconds"):
        values.pop("seconds", None)  # a key of all data sets, whether or not their class accepts it
    if group == "front_end" and not _accepts(target, "store"):
        values.pop("store", None)  # a key of all front ends
    arguments = {name: make_objects(f"{group}.{name}", value) for name, value in values.items()}
    try:
        return target(**given, **arguments)
    except ValueError as error:
        is_named = any(str(error).startswith(f"{name}=") for name in (*arguments, *given))
        if not is_named and not target.__module__.startswith(_OWN):
            raise UserError(f"{group}: {describe_failure(error, node._target_)}") from None
        raise UserError(f"{group}.{error}") from None
    except Exception as error:  # a user's class can raise any error
        if target.__module__.startswith(_OWN) or isinstance(error, UserError) or is_out_of_memory(error):
            raise
        if "overflow" in str(error).lower():  # a tensor that is too large; see `bounded_construction`
            raise
        raise UserError(f"{group}: {describe_failure(error, node._target_)}") from None


def _accepts(target: type, name: str) -> bool:
    """Whether a constructor accepts a keyword argument."""
    signature = read_signature(target)
    return name in signature.arguments or signature.is_open


def clip_seconds(experiment: Experiment) -> float:
    """Return the length of the network's input clips in s."""
    seconds: float = experiment.data.seconds
    return seconds


def stores_features(experiment: Experiment) -> bool:
    """Whether the training reads stored features; false where it computes them in each step."""
    return bool(getattr(experiment.front_end, "store", True))


def build_front_end(experiment: Experiment) -> Any:
    """Build the front end for clips of the experiment's sample rate and length (`audio.front_end.FrontEnd`).

    Raises:
        UserError: if its constructor rejects its arguments, or the class is for other clips.
    """
    node = experiment.front_end
    target = locate_class("front_end", node._target_)
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
    shape = getattr(front_end, "shape", None)
    if not isinstance(shape, tuple | list) or len(shape) != 2 or not all(hasattr(size, "__index__") for size in shape):
        raise UserError(f"front_end._target_={node._target_}: shape is {shape}; expected (mel, frame) of a clip")
    front_end.padding = locate_class("task", experiment.task._target_).padding  # type: ignore[attr-defined]
    return front_end


def build_model(experiment: Experiment, *, classes: int, device: str = "cpu") -> Any:
    """Build the network for the front end's features. On the ``meta`` device it is checked but has no weights.

    Raises:
        UserError: if its constructor rejects its arguments; on the ``meta`` device also for a network that no machine
            could train, see `bounded_construction`.
    """
    import torch

    front_end = build_front_end(experiment)
    with torch.device(device), bounded_construction("model") if device == "meta" else nullcontext():
        return build("model", experiment.model, input_shape=front_end.shape, classes=classes)


def stored_configuration(experiment: Experiment, front_end: Any) -> dict[str, Any]:
    """Return the settings on which stored features depend. Excludes settings that are applied after the store.

    Includes the number of frames if more frames are stored than a network sees; how short recordings are extended, if
    the task does it differently from the class's default; the versions of packages that the front end names; and the
    source of a front end from outside this package.
    """
    behind = (*getattr(front_end, "behind_store", ()), "store")
    settings = {name: value for name, value in plain(experiment.front_end).items() if name not in behind}
    settings |= {"sample_rate": front_end.sample_rate, "seconds": front_end.seconds}
    if front_end.padding != getattr(type(front_end), "padding", None):
        settings["padding"] = front_end.padding
    stored, sources = getattr(front_end, "stored_shape", front_end.shape), hash_module(experiment.front_end._target_)
    if stored != front_end.shape:
        settings["stored_frames"] = stored[1]
    if sources:
        settings["sources"] = sources
    if hasattr(front_end, "packages"):
        settings["packages"] = {name: version(name) for name in front_end.packages}
    return settings
