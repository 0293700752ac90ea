"""The finished run from which a fine-tuning starts."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dcase_sweep.complexity.layers import list_layers
from dcase_sweep.config import Experiment, build_front_end, build_model, flatten
from dcase_sweep.config.renamed import rename_keys
from dcase_sweep.training.checkpoint_files import Checkpoint, find_difference, read_checkpoint
from dcase_sweep.training.checkpoints import BEST, NETWORK, find_checkpoint, weights_under
from dcase_sweep.training.compression.pruning import plan_pruning, prunable_weights
from dcase_sweep.utils.errors import UserError

#: The parts of the configuration on which weights depend, except data and training.
_OF_WEIGHTS = ("front_end.", "model.", "data.seconds", "task.sample_rate")


def find_start(value: str) -> Path:
    """Find the checkpoint that ``compression.start`` names: a file, or the best one in a run's folder.

    Raises:
        UserError: if there is none.
    """
    found = find_checkpoint(Path(value).expanduser(), BEST)
    if found is None:
        raise UserError(
            f"compression.start={value}: no checkpoint there; expected {BEST} or the folder of a finished run"
        )
    return found


def read_start(value: str) -> Checkpoint:
    """Read the checkpoint: a state with ``network.*``, ``mean`` and ``deviation``, and its configuration.

    Raises:
        UserError: if the file is not a checkpoint of a scene classifier.
    """
    path = find_start(value)
    what = "a checkpoint of a scene classifier"
    expected = f"{BEST} of a run of task 1A"
    checkpoint = read_checkpoint(path, where=f"compression.start={path}", what=what, expected=expected)
    missing = [name for name in ("mean", "deviation") if name not in checkpoint.state]
    if missing:
        raise UserError(f"compression.start={path}: not {what} (no {missing[0]} of its features); expected {expected}")
    return checkpoint


def check_start(experiment: Experiment) -> None:
    """Check that the network can be compressed as configured. Reads only the checkpoint.

    Raises:
        UserError: in one line, if ``compression.start`` is not a checkpoint of the configured network and front end, or
            ``compression.nonzero_kib`` is smaller than the parameters that cannot be pruned.
    """
    settings = experiment.compressed
    if settings is None:
        return
    classes = 2  # a lower bound; this is checked again with the number of classes
    if settings.start is not None:
        start = read_start(settings.start)
        _check_configuration(experiment, settings.start, start.configuration)
        classes = _check_shapes(experiment, settings.start, start.state)
    network = build_model(experiment, classes=classes, device="meta")
    layers = list_layers(network, network_shape(experiment))
    count = sum(weight.numel() for weight in prunable_weights(network, layers))
    plan_pruning(layers, count, kib=settings.nonzero_kib, bits=settings.bits)  # type: ignore[arg-type]


def network_shape(experiment: Experiment) -> tuple[int, int]:
    """Return ``(mel, frame)`` of a clip."""
    shape: tuple[int, int] = build_front_end(experiment).shape
    return shape


def _check_configuration(experiment: Experiment, start: str, configuration: dict[str, Any]) -> None:
    """Reject other features, or another network with weights of the same shapes, which would load without an error."""

    def compared(flat: dict[str, Any]) -> dict[str, Any]:
        of_weights = {key: value for key, value in flat.items() if key.startswith(_OF_WEIGHTS)}
        return {key: value for key, value in of_weights.items() if not key.endswith("dropout")}

    then, now = compared(rename_keys(configuration, quiet=True)), compared(flatten(experiment))
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        differences = ", ".join(f"{key} was {then.get(key)!r}, is {now.get(key)!r}" for key in changed[:3])
        raise UserError(f"compression.start={start}: a run of another network ({differences}); expected the same model")


def _check_shapes(experiment: Experiment, start: str, state: dict[str, Tensor]) -> int:
    """Return the number of classes of the checkpoint's network; its other shapes must match the configured network."""
    weights = weights_under(NETWORK, state)
    last = [value for name, value in weights.items() if name.endswith("bias") and value.ndim == 1]
    classes = len(last[-1]) if last else 0
    expected = build_model(experiment, classes=max(classes, 1), device="meta").state_dict()
    mels = network_shape(experiment)[0]
    features = {name: torch.empty(mels, 1, device="meta") for name in ("mean", "deviation")}
    wrong = find_difference(expected, weights) or find_difference(features, {name: state[name] for name in features})
    if wrong is not None:
        raise UserError(f"compression.start={start}: of another network ({wrong}); expected the same model")
    return classes
