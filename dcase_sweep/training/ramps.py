"""Factors as functions of the step, from 1: for the learning rate and the weight of the consistency loss."""

import math


def exponential_ramp(step: int, length: int) -> float:
    """exp(-5 (1 - step / length)²), from 0.0067 at step 0 to 1 at step ``length`` and beyond; 1 without a length.

    The ramp of Laine and Aila (2017) as used in DESED_task: counted in steps from 1, over 50 epochs, for both the
    learning rate and the weight of the consistency loss.

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
    """Fraction of the full learning rate at a step, counted from 1, as applied by the published recipe.

    The ramp, except for a factor of 1 at the first step: the recipe's scheduler sets the rate after the optimizer's
    step.
    """
    return 1.0 if step <= 1 else exponential_ramp(step, length)


def cosine_factor(step: int, start: int, end: int) -> float:
    """1 up to step ``start``, then a half-cosine decay to 0 at step ``end`` and beyond."""
    if step <= start:
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - start) / max(1, end - start))))


def linear_factor(step: int, length: int) -> float:
    """step / length from the first step, 1 at step ``length`` and beyond; always 1 if the length is 0."""
    return min(1.0, step / length) if length else 1.0
