"""Learning rates over a training, as functions of the step: what ``scheduler`` names in this package.

Each takes the optimizer and numbers of steps, and returns a scheduler of PyTorch that moves on after every step.
"""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from dcase_sweep.training.ramps import cosine_factor, learning_rate_factor, linear_factor


def constant(optimizer: Optimizer, *, steps_per_epoch: int, ramp_epochs: int = 0) -> LRScheduler | None:
    """The optimizer's learning rate, after a ramp of so many epochs; None, for no schedule, without a ramp.

    Args:
        optimizer: whose rate it is.
        steps_per_epoch: optimizer steps of an epoch.
        ramp_epochs: of the mean teacher's ramp, `ramps.learning_rate_factor`.
    """
    ramp = ramp_epochs * steps_per_epoch
    return by_step(optimizer, lambda step: learning_rate_factor(step, ramp)) if ramp else None


def cosine(optimizer: Optimizer, *, steps: int, steps_per_epoch: int, ramp_epochs: int = 0) -> LRScheduler:
    """From the optimizer's learning rate down to 0 at the last step, after a ramp of so many epochs.

    Args:
        optimizer: whose rate it is.
        steps: of the whole training.
        steps_per_epoch: optimizer steps of an epoch.
        ramp_epochs: of the mean teacher's ramp, `ramps.learning_rate_factor`.
    """
    ramp = ramp_epochs * steps_per_epoch
    if not ramp:
        return CosineAnnealingLR(optimizer, steps)
    return by_step(optimizer, lambda step: learning_rate_factor(step, ramp) * cosine_factor(step, ramp, steps))


def warmup_cosine(optimizer: Optimizer, *, steps: int, steps_per_epoch: int, warmup_epochs: float = 5.0) -> LRScheduler:
    """Up to the optimizer's learning rate along a straight line, then down to 0 at the last step.

    Args:
        optimizer: whose rate it is.
        steps: of the whole training.
        steps_per_epoch: optimizer steps of an epoch.
        warmup_epochs: length of the straight line.

    Raises:
        ValueError: for a negative length.
    """
    if not warmup_epochs >= 0:
        raise ValueError(f"warmup_epochs={warmup_epochs}: expected at least 0")
    warmup = round(warmup_epochs * steps_per_epoch)
    return by_step(optimizer, lambda step: linear_factor(step, warmup) * cosine_factor(step, warmup, steps))


def by_step(optimizer: Optimizer, factor: Callable[[int], float]) -> LambdaLR:
    """The optimizer's learning rate times a factor of the step, counted from 1."""
    return LambdaLR(optimizer, lambda done: factor(done + 1))
