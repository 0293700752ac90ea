"""Learning rate schedules of this package for the group ``scheduler``.

Each function takes the optimizer and numbers of steps, and returns a PyTorch scheduler that is updated after every
step.
"""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from dcase_sweep.training.ramps import cosine_factor, learning_rate_factor, linear_factor


def constant(optimizer: Optimizer, *, steps_per_epoch: int, ramp_epochs: int = 0) -> LRScheduler | None:
    """A constant learning rate after a ramp-up. Returns None, for no schedule, without a ramp-up.

    Args:
        optimizer: the optimizer.
        steps_per_epoch: number of optimizer steps in an epoch.
        ramp_epochs: length of the mean teacher's ramp-up in epochs, see `ramps.learning_rate_factor`.
    """
    ramp = ramp_epochs * steps_per_epoch
    return by_step(optimizer, lambda step: learning_rate_factor(step, ramp)) if ramp else None


def cosine(optimizer: Optimizer, *, steps: int, steps_per_epoch: int, ramp_epochs: int = 0) -> LRScheduler:
    """Cosine decay from the optimizer's learning rate to 0 at the last step, after a ramp-up.

    Args:
        optimizer: the optimizer.
        steps: number of steps of the whole training.
        steps_per_epoch: number of optimizer steps in an epoch.
        ramp_epochs: length of the mean teacher's ramp-up in epochs, see `ramps.learning_rate_factor`.
    """
    ramp = ramp_epochs * steps_per_epoch
    if not ramp:
        return CosineAnnealingLR(optimizer, steps)
    return by_step(optimizer, lambda step: learning_rate_factor(step, ramp) * cosine_factor(step, ramp, steps))


def warmup_cosine(optimizer: Optimizer, *, steps: int, steps_per_epoch: int, warmup_epochs: float = 5.0) -> LRScheduler:
    """Linear warm-up to the optimizer's learning rate, then cosine decay to 0 at the last step.

    Args:
        optimizer: the optimizer.
        steps: number of steps of the whole training.
        steps_per_epoch: number of optimizer steps in an epoch.
        warmup_epochs: length of the warm-up in epochs.

    Raises:
        ValueError: for a negative length.
    """
    if not warmup_epochs >= 0:
        raise ValueError(f"warmup_epochs={warmup_epochs}: expected at least 0")
    warmup = round(warmup_epochs * steps_per_epoch)
    return by_step(optimizer, lambda step: linear_factor(step, warmup) * cosine_factor(step, warmup, steps))


def by_step(optimizer: Optimizer, factor: Callable[[int], float]) -> LambdaLR:
    """Multiply the optimizer's learning rate by a factor of the step, counted from 1."""
    return LambdaLR(optimizer, lambda done: factor(done + 1))
