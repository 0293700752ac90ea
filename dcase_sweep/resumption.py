"""Continuing an interrupted run from its last checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    import torch

    path = Path(experiment.resume).expanduser()
    checkpoint = find_checkpoint(path, LAST)
    if checkpoint is None:
        raise UserError(f"resume={path}: no checkpoint there; expected last.ckpt or the folder of an interrupted run")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        extra, epoch = content["dcase_sweep"], content["epoch"]
        _ = content["optimizer_states"]
    except Exception as error:
        raise UserError(
            f"resume={checkpoint}: not a checkpoint to continue from ({type(error).__name__}); expected a last.ckpt"
        ) from None
    then, now = comparable(extra["configuration"]), comparable(flatten(experiment))
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        differences = ", ".join(f"{key} was {then.get(key)!r}, is {now.get(key)!r}" for key in changed[:5])
        raise UserError(f"resume={checkpoint}: made by another configuration ({differences}); expected its own")
    return Resumable(checkpoint, extra.get("run_id"), epoch + 1)
