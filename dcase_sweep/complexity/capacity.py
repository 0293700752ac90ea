"""Checks that this machine has enough memory and disk space for an experiment, before data are read."""

from dcase_sweep.complexity.networks import complexity_before_training
from dcase_sweep.config import Experiment, build, build_task
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import format_bytes, memory_bytes

#: Values that training stores for each parameter: the parameter, its gradient, and the optimizer's state. For other
#: optimizers only the first two are counted.
_KEPT = {"Adam": 4, "AdamW": 4, "SGD": 3}
_AT_LEAST = 2
#: Bytes of an activation at the lowest training precision.
_ACTIVATION = 2


def check_capacity(experiment: Experiment, classes: int = 2) -> None:
    """Check that there is enough memory for training, and enough disk space for generated data.

    Args:
        experiment: a validated experiment.
        classes: number of classes, which only the data have; two is the smallest.

    Raises:
        UserError: if not, with the key, the amount needed and the amount that the machine has.
    """
    dataset = build("data", experiment.data)
    check_training_memory(experiment, getattr(dataset, "training_clips", None), classes)
    if hasattr(dataset, "check_room"):  # data sets that are generated
        dataset.check_room()


def check_training_memory(experiment: Experiment, clips: int | None = None, classes: int = 2) -> None:
    """Check that there is enough memory for training.

    The estimate is a lower bound, so that no experiment is refused that would fit: the parameters with their gradients
    and the optimizer's moments, the teacher's parameters, and the peak activations of one batch in one forward pass at
    16 bit.

    Args:
        experiment: a validated experiment.
        clips: number of training clips, which limits the size of a batch; None if it is not known yet.
        classes: number of classes; two if it is not known yet.

    Raises:
        UserError: if there is not enough, with the key, the amount needed and the amount that the machine has.
    """
    memory = _device_memory(experiment)
    if memory is None or experiment.published_checkpoint is not None:
        return
    task = build_task(experiment)
    complexity = complexity_before_training(experiment, classes)
    optimizer = str(experiment.optimizer._target_).rpartition(".")[2]
    kept = _KEPT.get(optimizer, _AT_LEAST) + task.weight_copies
    weights = 4 * kept * complexity.parameters
    size = task.batch_size(experiment)
    batch = size.clips if clips is None else min(size.clips, clips)
    activations = _ACTIVATION * batch * complexity.peak_activations
    if weights > memory:
        raise UserError(
            f"model: {complexity.parameters:,} parameters, which with gradients and {optimizer}'s "
            f"moments take {format_bytes(weights)}; this machine has {format_bytes(memory)} of memory; use a smaller "
            "network"
        )
    if weights + activations > memory:
        raise UserError(
            f"{size.key}: training with {batch:,} clips in a batch takes at least "
            f"{format_bytes(weights + activations)}; this machine has {format_bytes(memory)} of memory; use a smaller "
            "batch, network or feature map"
        )


def _device_memory(experiment: Experiment) -> int | None:
    """Return the memory in bytes of the device that trains; None if it is not known."""
    if experiment.hardware.accelerator != "gpu":
        return memory_bytes()
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else None
