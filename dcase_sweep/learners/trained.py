"""Trained networks, from the checkpoints that runs leave."""

from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from dcase_sweep.checkpoints import BEST, NETWORK, find_checkpoint, weights_under
from dcase_sweep.config import Experiment, build_model, check, unflatten
from dcase_sweep.errors import UserError

#: Under which a training step keeps its network: a scene classifier, a mean teacher.
_PREFIXES = (NETWORK, "student.")


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with its weights, and the experiment that trained it; of a mean teacher it is the student."""

    experiment: Experiment
    network: nn.Module


def open_trained(where: str) -> Trained:
    """The network of a checkpoint, or of the folder of a run.

    Raises:
        UserError: if there is none there, or if its weights do not fit the network of its configuration.
    """
    checkpoint = find_checkpoint(Path(where).expanduser(), BEST)
    if checkpoint is None:
        raise UserError(f"{where}: no checkpoint there; expected a .ckpt file, the folder of a run, or KEY=VALUE")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        configuration, state = content["dcase_sweep"]["configuration"], content["state_dict"]
    except Exception as error:
        raise UserError(
            f"{checkpoint}: not a checkpoint of a run ({type(error).__name__}); expected its {BEST}"
        ) from None
    experiment = check(OmegaConf.create(unflatten(configuration)))
    weights = next((found for prefix in _PREFIXES if (found := weights_under(prefix, state))), None)
    if weights is None:
        raise UserError(f"{checkpoint}: no network in it; expected weights under {' or '.join(_PREFIXES)}")
    network = build_model(experiment, classes=_classes(weights))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{checkpoint}: not of the network of its configuration ({str(error).splitlines()[1].strip()})"
        ) from None
    return Trained(experiment, network)


def _classes(weights: dict[str, Tensor]) -> int:
    """As many as the last layer, which is the head, has biases."""
    return len(next(reversed(weights.values())))
