"""The float network from which the files are converted and with which they are compared."""

import torch
from torch import Tensor, nn

from dcase_sweep.config import build_front_end, build_model
from dcase_sweep.export.runs import TrainedRun
from dcase_sweep.training.checkpoint_files import find_difference
from dcase_sweep.training.checkpoints import NETWORK, weights_under
from dcase_sweep.utils.errors import UserError


class ScoringNetwork(nn.Module):
    """A trained network with normalisation of the mel bands before it and softmax after it.

    Args:
        network: ``[batch, mel, frame]``, normalised → logits ``[batch, class]``.
        mean: mean of each mel band over the training clips ``[mel, 1]``.
        deviation: standard deviation of each mel band over the training clips ``[mel, 1]``.
    """

    def __init__(self, network: nn.Module, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())

    def forward(self, log_mel: Tensor) -> Tensor:
        """Compute class probabilities ``[batch, class]`` of log-mel maps ``[batch, mel, frame, 1]``."""
        normalised = (log_mel.squeeze(3) - self.mean) / self.deviation
        return torch.softmax(self.network(normalised), dim=1)


def network_weights(run: TrainedRun) -> dict[str, Tensor]:
    """Return the weights of the network without its normalisation, by its own names."""
    return weights_under(NETWORK, run.state)


def scoring_network(run: TrainedRun, *, classes: int) -> ScoringNetwork:
    """Build the run's network with the weights of its best epoch, in evaluation mode.

    Raises:
        UserError: if the weights are for another number of classes, or for another network.
    """
    weights = network_weights(run)
    wrong = find_difference(build_model(run.experiment, classes=classes, device="meta").state_dict(), weights)
    if wrong is not None:
        raise UserError(
            f"run={run.given}: its weights do not fit {run.model} for {classes} scenes ({wrong}); expected the data "
            "that it was trained on: data.root=/path/to/them"
        )
    mean, deviation = (_normalisation(run, name) for name in ("mean", "deviation"))
    if not bool((deviation > 0).all()):
        raise UserError(
            f"run={run.given}: a standard deviation of its features is not positive; expected the run's own file"
        )
    network = build_model(run.experiment, classes=classes)
    network.load_state_dict(weights)
    return ScoringNetwork(network, mean, deviation).eval()


def _normalisation(run: TrainedRun, name: str) -> Tensor:
    """Return one number for each mel band, ``[mel, 1]``."""
    expected = [build_front_end(run.experiment).shape[0], 1]
    found = run.state.get(name)
    if found is None or list(found.shape) != expected or not found.is_floating_point():
        shape = "missing" if found is None else f"{list(found.shape)} of {found.dtype}"
        raise UserError(f"run={run.given}: {name} of its features is {shape}; expected numbers {expected}")
    return found
