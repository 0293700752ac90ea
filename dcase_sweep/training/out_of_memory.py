"""The message for a batch that does not fit in the memory of a GPU, with a batch size that fits."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from pytorch_lightning import Trainer

from dcase_sweep.config import Experiment
from dcase_sweep.training.gpu_memory import get_limit, release_memory
from dcase_sweep.training.step_module import StepModule
from dcase_sweep.utils.gpus import find_share
from dcase_sweep.utils.machine import format_bytes


def is_gpu_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU had too little memory. MPS has no separate class for it."""
    return isinstance(error, torch.OutOfMemoryError) or "MPS backend out of memory" in str(error)


def find_fitting_fraction(attempt: Callable[[int], object], largest: int) -> int | None:
    """Return the power of two by which a batch must be divided to fit; None if even a single clip does not fit.

    Args:
        attempt: tries a step with a batch divided by a number.
        largest: number of clips in a batch.
    """
    divisor = 2
    while divisor <= largest:
        try:
            attempt(divisor)
            return divisor
        except RuntimeError as error:
            if not is_gpu_out_of_memory(error):
                raise
            divisor *= 2
        release_memory()
    return None


def describe_out_of_memory(experiment: Experiment, trainer: Trainer, module: Any, train: Iterable[Any]) -> str:
    """Describe in one line what did not fit, and a batch size that does, which is found by trying.

    Args:
        experiment: the experiment whose training ran out of memory.
        trainer: the trainer after its failed training.
        module: the trained module. Smaller batches are tried only for a `StepModule`.
        train: the training batches.
    """
    release_memory()
    found, advice = (
        _sizes(experiment, 1),
        ["end other programs on the GPU" if find_share() is None else "fewer workers"],
    )
    if experiment.hardware.cache_device == "device":
        size = int(getattr(train, "device_bytes", 0))
        frees = f", which frees {format_bytes(size)}" if size else ""
        advice.insert(0, f"hardware.cache_device=memory{frees}")
    if isinstance(module, StepModule) and found:
        divisor = _try_smaller(trainer, module, train)
        advice.insert(0, f"{_sizes(experiment, divisor)}, which fits" if divisor else "a smaller network")
    return f"out of memory{_describe_use()} with {found or 'this network'}; use {', or '.join(advice)}"


def _sizes(experiment: Experiment, divisor: int) -> str:
    """Format the keys of the batch size, with values divided by a number."""
    settings = experiment.mean_teacher
    if experiment.training.batch_size is not None:
        return f"training.batch_size={max(experiment.training.batch_size // divisor, 1)}"
    if settings is None:
        return ""
    sizes = {name: int(getattr(settings, name)) for name in ("strong", "weak", "unlabelled")}
    return " ".join(f"mean_teacher.{name}={-(-size // divisor)}" for name, size in sizes.items())


def _try_smaller(trainer: Trainer, module: StepModule, train: Iterable[Any]) -> int | None:
    """Try steps with parts of the first batch until one fits."""
    device = trainer.strategy.root_device
    module.forget_graph()

    def attempt(divisor: int) -> None:
        module.to(device)
        whole = tuple(part.to(device) for part in next(iter(train)))
        with trainer.precision_plugin.train_step_context():
            module.attempt(module.divide_batch(whole, divisor))

    batch = next(iter(train))
    return find_fitting_fraction(attempt, len(batch[0]))


def _describe_use() -> str:
    if not torch.cuda.is_available():
        return ""
    free, total = torch.cuda.mem_get_info()
    share, limit = find_share(), get_limit(total)
    if share is not None and limit is not None:
        return f" in this worker's part of the GPU ({format_bytes(limit)}; {share.workers} workers use it)"
    others = total - free - torch.cuda.memory_reserved()
    return f" on the GPU ({format_bytes(total)}, of which {format_bytes(max(others, 0))} are used by other programs)"
