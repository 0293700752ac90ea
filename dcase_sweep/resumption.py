"""Continuing an interrupted run from its last checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcase_sweep.checkpoint_files import Checkpoint, read_checkpoint
from dcase_sweep.checkpoints import LAST, find_checkpoint
from dcase_sweep.config import Experiment, flatten
from dcase_sweep.errors import UserError

#: What may differ between a run and its continuation: where things are, not what is computed.
_FREE = ("resume", "hardware.", "tracking.", "store.", "data.root", "data.name")


@dataclass(frozen=True, slots=True)
class Resumable:
    """A checkpoint that this configuration can continue."""

    checkpoint: Path
    run_id: str | None
    #: Epochs that are done.
    epochs: int


def comparable(flat: dict[str, Any]) -> dict[str, Any]:
    """Of a flattened configuration, what a continuation must have in common with what it continues."""
    return {key: value for key, value in flat.items() if not key.startswith(_FREE)}


def find_resumable(experiment: Experiment) -> Resumable | None:
    """The checkpoint that ``resume`` names, or None if it names none.

    Raises:
        UserError: if there is none there, or if it was made by another configuration.
    """
    if experiment.resume is None:
        return None
    path = Path(experiment.resume).expanduser()
    found = find_checkpoint(path, LAST)
    if found is None:
        raise UserError(f"resume={path}: no checkpoint there; expected last.ckpt or the folder of an interrupted run")
    where, expected = f"resume={found}", f"{LAST} of an interrupted run"
    checkpoint = read_checkpoint(found, where=where, what="a checkpoint to continue from", expected=expected)
    then, now = comparable(checkpoint.configuration), comparable(flatten(experiment))
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        differences = ", ".join(f"{key} was {then.get(key)!r}, is {now.get(key)!r}" for key in changed[:5])
        raise UserError(f"{where}: made by another configuration ({differences}); expected its own")
    return Resumable(found, checkpoint.run_id, _epochs(checkpoint, experiment, where, expected))


def _epochs(checkpoint: Checkpoint, experiment: Experiment, where: str, expected: str) -> int:
    """How many epochs are done, of a checkpoint that holds the state of a training.

    Raises:
        UserError: if it does not.
    """
    last = experiment.training.epochs - 1
    if checkpoint.epoch is None or checkpoint.epoch > last:
        raise UserError(
            f"{where}: not a checkpoint to continue from (epoch is {checkpoint.epoch}, of {last + 1} counted from 0); "
            f"expected {expected}"
        )
    for field, kind in (("optimizer_states", list), ("callbacks", dict)):
        if not isinstance(checkpoint.content.get(field), kind) or not checkpoint.content[field]:
            raise UserError(f"{where}: not a checkpoint to continue from (no {field}); expected {expected}")
    return checkpoint.epoch + 1
