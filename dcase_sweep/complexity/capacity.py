"""Whether this machine has room for an experiment: asked by numbers, before its data are read."""

from typing import Any

from dcase_sweep.complexity.networks import complexity_before_training
from dcase_sweep.config import Experiment, build, locate_task
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import format_bytes, memory_bytes

#: Values that training keeps of each parameter: itself, its gradient, and what the optimizer remembers of it.
_KEPT = {"adam": 4, "adamw": 4, "sgd": 3}
#: Bytes of an activation at the least precision that is trained in.
_ACTIVATION = 2


def check_capacity(experiment: Experiment) -> None:
    """Refuse an experiment that cannot be trained here: too little memory, or no room for the data to be generated.

    Raises:
        UserError: with the key, what it takes and what the machine has.
    """
    dataset = build("data", experiment.data)
    check_training_memory(experiment, getattr(dataset, "training_clips", None))
    if hasattr(dataset, "check_room"):  # of generated recordings
        dataset.check_room()


def check_training_memory(experiment: Experiment, clips: int | None = None) -> None:
    """Refuse a training that needs more memory than there is.

    What it needs is counted low, so that an experiment in doubt is let pass: the parameters with their gradients and
    the optimizer's moments, the teacher's, and the activations of the clips of a batch where the most of them are
    live at once, of a single pass forward, at 16 bit.

    Args:
        experiment: checked.
        clips: to train on, which no batch holds more of; None = not known yet.

    Raises:
        UserError: with the key, what it takes and what the machine has.
    """
    memory = _memory_of(experiment)
    if memory is None or experiment.published_checkpoint is not None:
        return
    # A head of two classes is the smallest; how many there are is known from the data.
    complexity = complexity_before_training(experiment, classes=2)
    kept = _KEPT[experiment.optimizer.name] + locate_task(experiment.task._target_).weight_copies
    weights = 4 * kept * complexity.parameters
    key, batch = _batch(experiment)
    batch = batch if clips is None else min(batch, clips)
    activations = _ACTIVATION * batch * complexity.peak_activations
    if weights > memory:
        raise UserError(
            f"model: {complexity.parameters:,} parameters, which with gradients and {experiment.optimizer.name}'s "
            f"moments take {format_bytes(weights)}; this machine has {format_bytes(memory)} of memory; use a smaller "
            "network"
        )
    if weights + activations > memory:
        raise UserError(
            f"{key}: a training on {batch:,} clips at once takes at least {format_bytes(weights + activations)}; this "
            f"machine has {format_bytes(memory)} of memory; use a smaller batch, network or map"
        )


def _batch(experiment: Experiment) -> tuple[str, int]:
    """The key that says how many clips a batch has, with its value, and their number."""
    settings: Any = experiment.mean_teacher
    if experiment.training.batch_size is not None:
        return f"training.batch_size={experiment.training.batch_size}", experiment.training.batch_size
    if settings is None:
        return "training.batch_size=null", 1
    parts = {name: int(getattr(settings, name)) for name in ("strong", "weak", "unlabelled")}
    largest = max(parts, key=lambda name: parts[name])
    return f"mean_teacher.{largest}={parts[largest]}", sum(parts.values())


def _memory_of(experiment: Experiment) -> int | None:
    """Bytes that the device of the training has; None where that is not known."""
    if experiment.hardware.accelerator != "gpu":
        return memory_bytes()
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else None
