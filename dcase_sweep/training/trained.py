"""Trained networks, from the checkpoints that runs leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_model, restore_experiment
from dcase_sweep.config.classes import Named
from dcase_sweep.training.checkpoint_files import Checkpoint, find_difference, read_checkpoint
from dcase_sweep.training.checkpoints import BEST, NETWORK, find_checkpoint, weights_under
from dcase_sweep.utils.errors import UserError

#: Under which a training step keeps its network: a scene classifier, a mean teacher.
_PREFIXES = (NETWORK, "student.")


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with its weights, and the experiment that trained it; of a mean teacher it is the student."""

    experiment: Experiment
    network: nn.Module
    #: Everything in the checkpoint's state by its names, as the normalisation of the features.
    state: Mapping[str, Tensor]
    #: How many classes the network has.
    classes: int


def open_trained(where: str, named: Named | None = None) -> Trained:
    """The network of a checkpoint, or of the folder of a run.

    Args:
        where: the file or the folder.
        named: classes of the user's own that the command line names, or that a folder names that it names.

    Raises:
        UserError: if there is none there, if it names code that the command line does not, or if its weights do not
            fit the network of its configuration.
    """
    path = find_checkpoint(Path(where).expanduser(), BEST) if where else None
    if path is None:
        raise UserError(f"{where}: no checkpoint there; expected a .ckpt file, the folder of a run, or KEY=VALUE")
    checkpoint = read_checkpoint(path, where=str(path), what="a checkpoint of a run", expected=f"its {BEST}")
    return restore_network(checkpoint, where=str(path), named=named)


def restore_network(checkpoint: Checkpoint, *, where: str, named: Named | None = None) -> Trained:
    """The network of a checkpoint, in the state that it was saved in.

    Args:
        where: how the user named the checkpoint, for messages.
        named: classes of the user's own that the command line names, by their keys: ``model._target_``.

    Raises:
        UserError: if it names code that the command line does not, or if its weights do not fit the network of its
            configuration.
    """
    experiment = restore_experiment(checkpoint.configuration, where=where, named=named, reads_data=False)
    weights = next((found for prefix in _PREFIXES if (found := weights_under(prefix, checkpoint.state))), None)
    if weights is None:
        raise UserError(f"{where}: no network in it; expected weights under {' or '.join(_PREFIXES)}")
    classes = _classes(weights)
    # Compared before it is made: the file's configuration could ask for any size.
    wrong = find_difference(build_model(experiment, classes=classes, device="meta").state_dict(), weights)
    if wrong is not None:
        raise UserError(f"{where}: not of the network of its configuration ({wrong}); expected its own weights")
    network = build_model(experiment, classes=classes)
    network.load_state_dict(weights)
    return Trained(experiment, network, checkpoint.state, classes)


def _classes(weights: dict[str, Tensor]) -> int:
    """As many as the last layer, which is the head, has biases."""
    last = next(reversed(weights.values()))
    return len(last) if last.ndim and len(last) else 1
