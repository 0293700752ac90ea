"""Learning rate schedules of this package for the group ``scheduler``.

Each function takes the optimizer and numbers of steps, and returns a PyTorch scheduler that is updated after every
step. With ``interval: epoch`` it is updated after every epoch, and an epoch counts as one step.
"""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from dcase_sweep.training.ramps import cosine_factor, exponential_ramp, learning_rate_factor, linear_factor


def constant(
    optimizer: Optimizer, *, steps_per_epoch: int, ramp_epochs: int = 0, interval: str = "step"
) -> LRScheduler | None:
    """A constant learning rate after a ramp-up. Returns None, for no schedule, without a ramp-up.

    Args:
        optimizer: the optimizer.
        steps_per_epoch: number of optimizer steps in an epoch.
        ramp_epochs: length of the mean teacher's ramp-up in epochs, see `ramps.learning_rate_factor`.
        interval: when the rate is updated: after each ``step`` or each ``epoch``.
    """
    ramp = ramp_epochs * steps_per_epoch
    ramp_up = _choose_ramp(interval)
    return by_step(optimizer, lambda step: ramp_up(step, ramp)) if ramp else None


def cosine(
    optimizer: Optimizer, *, steps: int, steps_per_epoch: int, ramp_epochs: int = 0, interval: str = "step"
) -> LRScheduler:
    """Cosine decay from the optimizer's learning rate to 0 at the last step or after the last epoch, after a ramp-up.

    Args:
        optimizer: the optimizer.
        steps: number of steps of the whole training.
        steps_per_epoch: number of optimizer steps in an epoch.
        ramp_epochs: length of the mean teacher's ramp-up in epochs, see `ramps.learning_rate_factor`.
        interval: when the rate is updated: after each ``step`` or each ``epoch``.
    """
    ramp = ramp_epochs * steps_per_epoch
    if not ramp:
        return CosineAnnealingLR(optimizer, steps)
    ramp_up, end = _choose_ramp(interval), _find_end(steps, interval)
    return by_step(optimizer, lambda step: ramp_up(step, ramp) * cosine_factor(step, ramp, end))


def _choose_ramp(interval: str) -> Callable[[int, int], float]:
    """Return the ramp-up. The recipe has the full rate at its first step, which would be the whole first epoch."""
    return learning_rate_factor if interval == "step" else exponential_ramp


def _find_end(steps: int, interval: str) -> int:
    """Return the step at which a decay reaches 0. A whole epoch with the rate 0 would learn nothing."""
    return steps if interval == "step" else steps + 1


def warmup_cosine(
    optimizer: Optimizer, *, steps: int, steps_per_epoch: int, warmup_epochs: float = 5.0, interval: str = "step"
) -> LRScheduler:
    """Linear warm-up to the optimizer's learning rate, then cosine decay to 0 at the last step or after the last epoch.

    Args:
        optimizer: the optimizer.
        steps: number of steps of the whole training.
        steps_per_epoch: number of optimizer steps in an epoch.
        warmup_epochs: length of the warm-up in epochs.
        interval: when the rate is updated: after each ``step`` or each ``epoch``.

    Raises:
        ValueError: for a negative length.
    """
    if not warmup_epochs >= 0:
        raise ValueError(f"warmup_epochs={warmup_epochs}: expected at least 0")
    warmup, end = round(warmup_epochs * steps_per_epoch), _find_end(steps, interval)
    return by_step(optimizer, lambda step: linear_factor(step, warmup) * cosine_factor(step, warmup, end))


def by_step(optimizer: Optimizer, factor: Callable[[int], float]) -> LambdaLR:
    """Multiply the optimizer's learning rate by a factor of the step, counted from 1."""
    return LambdaLR(optimizer, lambda done: factor(done + 1))
