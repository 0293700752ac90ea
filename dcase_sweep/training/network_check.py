"""A trial of a network from outside this package with features of the task's shape, before features are computed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dcase_sweep.config import Experiment, build_front_end, build_model, get_learner
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.failures import describe_failure
from dcase_sweep.utils.numbers import is_integer

#: Attributes of a network of sound event detection, and what they are.
_OF_EVENTS = {
    "frames": "the number of frames of the predictions for a clip",
    "frame_stride": "the number of feature frames for each frame of the predictions",
}
_CLIPS = 2


def try_scene_network(experiment: Experiment, classes: int) -> None:
    """Check that a network of scene classification returns logits ``[batch, class]``, and not their softmax.

    Raises:
        UserError: if it cannot be called, or returns anything else.
    """
    if not _is_checked(experiment):
        return
    _, outputs = _call(experiment, classes)
    if not isinstance(outputs, Tensor) or list(outputs.shape) != [_CLIPS, classes]:
        raise _wrong(experiment, outputs, f"logits {[_CLIPS, classes]} (batch, class)")
    sums = outputs.float().sum(dim=1)
    if classes > 1 and bool((outputs >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=1e-3):
        raise UserError(
            f"{_name(experiment)}: returned probabilities, whose sum is 1; expected logits: leave out softmax"
        )


def try_event_network(experiment: Experiment, classes: int) -> None:
    """Check that a network of sound event detection returns probabilities of frames and of clips.

    Raises:
        UserError: if it cannot be called, lacks an attribute, or returns anything else.
    """
    if not _is_checked(experiment):
        return
    network, outputs = _call(experiment, classes)
    for name, meaning in _OF_EVENTS.items():
        value = getattr(network, name, None)
        if not is_integer(value) or value < 1:
            found = f"{name} is {value!r}" if hasattr(network, name) else f"has no {name}"
            raise UserError(f"{_name(experiment)}: {found}; expected {meaning}, a whole number")
    shapes = [[_CLIPS, classes, network.frames], [_CLIPS, classes]]
    expected = (
        f"two tensors of probabilities, {shapes[0]} (batch, class, frame; {network.frames} is its attribute frames) "
        f"and {shapes[1]} (batch, class)"
    )
    if not isinstance(outputs, tuple | list) or not all(isinstance(each, Tensor) for each in outputs):
        raise _wrong(experiment, outputs, expected)
    if [list(each.shape) for each in outputs] != shapes:
        raise _wrong(experiment, outputs, expected)
    for each in outputs:
        if not bool(((each >= 0) & (each <= 1)).all()):
            low, high = float(each.min()), float(each.max())
            raise UserError(
                f"{_name(experiment)}: returned values from {low:.3g} to {high:.3g}; expected probabilities from 0 to "
                "1, as after a sigmoid"
            )
    _check_stride(experiment, network)


def _check_stride(experiment: Experiment, network: Any) -> None:
    """Check that the frames of the predictions last about as long as the features, so that times are right."""
    stored, covered = build_front_end(experiment).shape[1], network.frames * network.frame_stride
    if not stored / 2 < covered < 2 * stored:
        raise UserError(
            f"{_name(experiment)}: frames={network.frames} and frame_stride={network.frame_stride} are {covered} "
            f"feature frames; expected about the {stored} of a clip"
        )


def _is_checked(experiment: Experiment) -> bool:
    """Whether the network is of the user, and the learner of this package calls it with PyTorch."""
    own = not str(experiment.model._target_).startswith("dcase_sweep.")
    return own and experiment.framework.name == "torch" and get_learner(experiment).startswith("dcase_sweep.training.")


def _call(experiment: Experiment, classes: int) -> tuple[Any, Any]:
    """Return the network and what it returns for some clips."""
    shape = build_front_end(experiment).shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = build_model(experiment, classes=classes)
        if next(network.parameters(), None) is None:
            raise UserError(f"{_name(experiment)}: has no parameters; expected a network that can be trained")
        try:
            return network, network.eval()(torch.rand(_CLIPS, *shape))
        except Exception as error:  # a user's network can raise any error
            failure = describe_failure(error, experiment.model._target_)
        raise UserError(f"model: {failure}; expected a network of features {[_CLIPS, *shape]} (batch, mel, frame)")


def _wrong(experiment: Experiment, outputs: Any, expected: str) -> UserError:
    return UserError(f"{_name(experiment)}: returned {_describe(outputs)}; expected {expected}")


def _name(experiment: Experiment) -> str:
    return f"model._target_={experiment.model._target_}"


def _describe(outputs: Any) -> str:
    """Describe the outputs of a network: the shape of a tensor, the type of anything else."""
    if isinstance(outputs, Tensor):
        return f"a tensor {list(outputs.shape)}"
    if isinstance(outputs, Sequence) and not isinstance(outputs, str) and outputs:
        return f"{len(outputs)} values ({', '.join(_describe(each) for each in outputs[:3])})"
    return f"a {type(outputs).__name__}"
