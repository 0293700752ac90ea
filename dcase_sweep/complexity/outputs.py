"""Check of what a network outside this package returns, before a training is begun."""

from typing import Any

import torch

from dcase_sweep.config import Experiment, build_front_end
from dcase_sweep.config.failures import naming_component
from dcase_sweep.utils.errors import UserError


def check_outputs(network: Any, experiment: Experiment, classes: int | None = None) -> None:
    """Call a network with two clips, and check the outputs of one for scenes.

    Args:
        network: a PyTorch network of the experiment, which may be on the ``meta`` device. Those of this package are not
            called.
        experiment: the experiment.
        classes: number of classes; None if it is not known yet.

    Raises:
        UserError: if the network has no parameters, fails, or returns anything but logits ``[clip, class]``.
    """
    target = experiment.model._target_
    if target.startswith("dcase_sweep."):
        return
    parameter = next(network.parameters(), None)
    if parameter is None:
        raise UserError(f"model._target_={target}: has no parameters; expected a network that can be trained")
    clips = torch.zeros(2, *build_front_end(experiment).shape, device=parameter.device)
    was_training = network.training
    try:
        with torch.no_grad(), naming_component("model", target):
            found = network.eval().forward(clips)
    finally:
        network.train(was_training)
    if network.kind != "scenes":
        return
    expected = f"expected logits [batch, {'class' if classes is None else classes}]"
    if not isinstance(found, torch.Tensor):
        raise UserError(f"model._target_={target}: returned a {type(found).__name__} for two clips; {expected}")
    is_right = found.ndim == 2 and len(found) == 2 and classes in (None, found.shape[1])
    if not is_right:
        raise UserError(f"model._target_={target}: returned {list(found.shape)} for two clips; {expected}")
