"""Continuing an interrupted run from its last checkpoint."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING as NO_VALUE

from dcase_sweep.config import Experiment, flatten, plain
from dcase_sweep.config.path_words import typed_word
from dcase_sweep.config.renamed import rename_keys
from dcase_sweep.config.stored import is_printable
from dcase_sweep.training.checkpoint_files import Checkpoint, read_checkpoint
from dcase_sweep.training.checkpoints import LAST, find_checkpoint
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import to_text
from dcase_sweep.utils.secrets import mask_values

#: Keys that may differ between a run and its continuation, because they do not affect results.
_FREE = (
    "resume",
    "hardware.",
    "tracking.",
    "logger.",
    "metrics.",
    "store.",
    "data.root",
    "data.name",
    "evaluation.precision",
    "evaluation.reference",
    "task.title",
    "task.objective",
    "task.demo",
)


@dataclass(frozen=True, slots=True)
class Resumable:
    """A checkpoint that this configuration can continue."""

    checkpoint: Path
    run_id: str | None
    #: Number of completed epochs.
    epochs: int
    #: Their metrics: name → epoch, counted from 0 → value; empty for a checkpoint of an earlier version.
    history: dict[str, dict[int, float]] = field(default_factory=dict)
    #: The signature of its configuration, data and code; None in a checkpoint of an earlier version.
    signature: str | None = None
    #: The precision of its epochs, as resolved on their machine; None in a checkpoint of an earlier version.
    precision: str | None = None

    def metrics_by_epoch(self) -> dict[int, dict[str, float]]:
        """Return the logged metrics of each epoch, in order."""
        epochs = sorted({epoch for values in self.history.values() for epoch in values})
        return {
            epoch: {name: values[epoch] for name, values in self.history.items() if epoch in values} for epoch in epochs
        }


def comparable(flat: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a flattened configuration that must be the same in a continuation."""
    return {key: value for key, value in flat.items() if not key.startswith(_FREE)}


def completed(flat: dict[str, Any], experiment: Experiment) -> dict[str, Any]:
    """Add the keys that are newer than a checkpoint to its flattened configuration.

    A missing key gets its default, which keeps the meaning of configurations without the key
    (`config.schemas.Experiment`). Keys without a default, or of a class that the checkpoint does not name, are not
    added.
    """
    found = dict(flat)
    for key in flatten(experiment):
        if key not in found:
            default = _default_of(experiment, key, flat)
            if default is not MISSING:
                found[key] = default
    return found


def _default_of(experiment: Experiment, key: str, flat: dict[str, Any]) -> Any:
    """Return the default of a key; MISSING if it has none."""
    node: Any = experiment
    *path, name = key.split(".")
    for depth, part in enumerate(path, start=1):
        node = node.get(part) if isinstance(node, dict) else getattr(node, part, None)
        target = getattr(node, "_target_", None)
        if target is not None and flat.get(".".join([*path[:depth], "_target_"])) != target:
            return MISSING
    member = next((each for each in fields(node) if each.name == name), None) if is_dataclass(node) else None
    if member is None:
        return MISSING
    default = member.default if member.default_factory is MISSING else member.default_factory()
    return MISSING if default == NO_VALUE else plain(default)


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose value in a checkpoint is not that of an experiment."""

    key: str
    then: Any
    now: Any
    #: Whether the checkpoint has the key.
    is_known: bool


def find_changes(configuration: dict[str, Any], experiment: Experiment) -> list[Change]:
    """List the keys that must be the same in a continuation and are not, sorted by name.

    Args:
        configuration: the flattened configuration of a checkpoint.
        experiment: the validated configuration of the continuation.
    """
    # Secrets are masked in the checkpoint.
    then = comparable(completed(rename_keys(configuration, quiet=True), experiment))
    now = comparable(mask_values(flatten(experiment)))
    keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    return [Change(key, then.get(key), now.get(key), key in then) for key in keys]


def describe_changes(changes: Sequence[Change]) -> str:
    """Format the first changes: ``optimizer.lr was 0.001, is 0.01``."""
    return ", ".join(f"{change.key} was {change.then!r}, is {change.now!r}" for change in changes[:5])


def _how_to_repeat(values: dict[str, Any]) -> str:
    """Format the values of a checkpoint for the command line, if all can be typed."""
    plain_values = (bool, int, float, str, type(None))
    if not values or not all(isinstance(value, plain_values) for value in values.values()):
        return ""
    shown = (
        typed_word(key, value) if isinstance(value, str) else f"{key}={to_text(value)}" for key, value in values.items()
    )
    return f": add {' '.join(shown)}"


def find_resumable(experiment: Experiment) -> Resumable | None:
    """Find the checkpoint that ``resume`` names; None if it names none.

    Raises:
        UserError: if the checkpoint does not exist, or was created with another configuration.
    """
    if experiment.resume is None:
        return None
    path = Path(experiment.resume).expanduser()
    found = find_checkpoint(path, LAST)
    if found is None:
        raise UserError(
            f"resume={path}: no checkpoint there; expected last.ckpt, or the folder of an interrupted run or sweep"
        )
    where, expected = f"resume={found}", f"{LAST} of an interrupted run"
    checkpoint = read_checkpoint(found, where=where, what="a checkpoint to continue from", expected=expected)
    changes = find_changes(checkpoint.configuration, experiment)
    if changes:
        raise UserError(
            f"{where}: made by another configuration ({describe_changes(changes)}); expected its own"
            + _how_to_repeat({change.key: change.then for change in changes if change.is_known})
        )
    return make_resumable(checkpoint, experiment, where=where, expected=expected)


def make_resumable(checkpoint: Checkpoint, experiment: Experiment, *, where: str, expected: str) -> Resumable:
    """Return the training that a checkpoint of this configuration continues.

    Args:
        checkpoint: the checkpoint.
        experiment: the validated configuration.
        where: the user's name for the file, for messages.
        expected: the expected kind of file, for messages.

    Raises:
        UserError: if it has no state of a training.
    """
    epochs = _epochs(checkpoint, experiment, where, expected)
    extra = checkpoint.content["dcase_sweep"]
    known = extra.get("signature")
    signature = known if isinstance(known, str) else None
    history = _history(extra.get("history"), epochs)
    used = extra.get("precision")
    precision = used if is_printable(used, 20) else None
    return Resumable(checkpoint.path, checkpoint.run_id, epochs, history, signature, precision)


def _epochs(checkpoint: Checkpoint, experiment: Experiment, where: str, expected: str) -> int:
    """Return the number of completed epochs of a checkpoint with the state of a training.

    Raises:
        UserError: if the checkpoint has no such state.
    """
    last = experiment.training.epochs - 1
    if checkpoint.epoch is None or checkpoint.epoch > last:
        raise UserError(
            f"{where}: not a checkpoint to continue from (epoch is {checkpoint.epoch}, of {last + 1} counted from 0); "
            f"expected {expected}"
        )
    for name, kind in (("optimizer_states", list), ("callbacks", dict)):
        if not isinstance(checkpoint.content.get(name), kind) or not checkpoint.content[name]:
            raise UserError(f"{where}: not a checkpoint to continue from (no {name}); expected {expected}")
    return checkpoint.epoch + 1


def _history(found: Any, epochs: int) -> dict[str, dict[int, float]]:
    """Return the metrics of the epochs in a checkpoint; empty if they are not valid."""
    if not isinstance(found, dict):
        return {}
    return {
        str(name): {
            epoch: float(value)
            for epoch, value in values.items()
            if isinstance(epoch, int) and 0 <= epoch < epochs and isinstance(value, float)
        }
        for name, values in found.items()
        if isinstance(values, dict)
    }
