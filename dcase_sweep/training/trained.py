"""Trained networks, restored from the checkpoints of runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_model, restore_experiment
from dcase_sweep.config.classes import Named
from dcase_sweep.training.checkpoint_files import Checkpoint, find_difference, read_checkpoint
from dcase_sweep.training.checkpoints import BEST, NETWORK, find_checkpoint, weights_under
from dcase_sweep.utils.errors import UserError

#: The networks of a mean teacher.
Member = Literal["student", "teacher"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with its weights, and the experiment that trained it. For a mean teacher it is one of the two."""

    experiment: Experiment
    network: nn.Module
    #: The complete state of the checkpoint by name, including the normalisation of the features.
    state: Mapping[str, Tensor]
    #: Number of classes of the network.
    classes: int


def open_trained(where: str, named: Named | None = None) -> Trained:
    """Restore the network of a checkpoint or of a run's folder.

    Args:
        where: the file or the folder.
        named: user-defined classes that are named on the command line or in the command line's folder.

    Raises:
        UserError: if there is no checkpoint, if it names code that the command line does not, or if its weights do not
            match the network of its configuration.
    """
    path = find_checkpoint(Path(where).expanduser(), BEST) if where else None
    if path is None:
        raise UserError(f"{where}: no checkpoint there; expected a .ckpt file, the folder of a run, or KEY=VALUE")
    checkpoint = read_checkpoint(path, where=str(path), what="a checkpoint of a run", expected=f"its {BEST}")
    return restore_network(checkpoint, where=str(path), named=named)


def restore_network(
    checkpoint: Checkpoint, *, where: str, named: Named | None = None, member: Member = "student"
) -> Trained:
    """Restore the network of a checkpoint.

    Args:
        where: the user's name for the checkpoint, for messages.
        named: user-defined classes that the command line names, by key: ``model._target_``.
        member: which network of a mean teacher.

    Raises:
        UserError: if the checkpoint names code that the command line does not, or if its weights do not match the
            network of its configuration.
    """
    experiment = restore_experiment(checkpoint.configuration, where=where, named=named, reads_data=False)
    prefixes = (f"{member}.",) if member == "teacher" else (NETWORK, f"{member}.")
    weights = next((found for prefix in prefixes if (found := weights_under(prefix, checkpoint.state))), None)
    if weights is None and member == "teacher":
        raise UserError(f"{where}: contains no teacher; expected a run with mean_teacher, as of task 4")
    if weights is None:
        raise UserError(f"{where}: no network in it; expected weights under {' or '.join(prefixes)}")
    classes = _classes(weights)
    # Shapes are compared before the network is built, because the file's configuration could request any size.
    wrong = find_difference(build_model(experiment, classes=classes, device="meta").state_dict(), weights)
    if wrong is not None:
        raise UserError(f"{where}: not of the network of its configuration ({wrong}); expected its own weights")
    network = build_model(experiment, classes=classes)
    network.load_state_dict(weights)
    return Trained(experiment, network, checkpoint.state, classes)


def _classes(weights: dict[str, Tensor]) -> int:
    """Return the number of classes: the number of biases of the last layer, which is the head."""
    last = next(reversed(weights.values()))
    return len(last) if last.ndim and len(last) else 1
