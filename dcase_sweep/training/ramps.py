"""Factors of a step, counted from 1: of the learning rate, and of the weight of the consistency loss."""

import math


def exponential_ramp(step: int, length: int) -> float:
    """exp(-5 (1 - step / length)²), from 0.0067 at step 0 to 1 at step ``length`` and beyond; 1 without a length.

    Laine and Aila's ramp (2017) as DESED_task uses it: counted in steps from 1, over 50 epochs, for the learning rate
    and for the weight of the consistency loss alike.

    Raises:
        ValueError: for a negative length.
    """
    if length < 0:
        raise ValueError(f"length={length}: expected a number of steps, 0 or more")
    if length == 0:
        return 1.0
    phase = 1.0 - min(max(step, 0), length) / length
    return math.exp(-5.0 * phase * phase)


def learning_rate_factor(step: int, length: int) -> float:
    """Share of the full learning rate at a step, counted from 1, as the published recipe really takes it.

    The ramp, but 1 at the very first step: the recipe's scheduler sets the rate only after the optimizer's step.
    """
    return 1.0 if step <= 1 else exponential_ramp(step, length)


def cosine_factor(step: int, start: int, end: int) -> float:
    """1 up to step ``start``, then down along half a cosine to 0 at step ``end`` and beyond."""
    if step <= start:
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - start) / max(1, end - start))))


def linear_factor(step: int, length: int) -> float:
    """step / length, from the first step to 1 at step ``length`` and beyond; 1 without a length."""
    return min(1.0, step / length) if length else 1.0
