"""Batch normalisation within other operations on a CPU: its factors, its running statistics and its gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcase_sweep.ops.statistics import Statistics


def scale(
    weight: Tensor, bias: Tensor, epsilon: float, statistics: Statistics, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return factor and offset ``[channel]`` of the normalisation with these weights, computed in ``dtype``."""
    factor = weight.to(dtype) * (statistics.variance.to(dtype) + epsilon).rsqrt()
    return factor, bias.to(dtype) - statistics.mean.to(dtype) * factor


def update_running(norm: nn.BatchNorm2d, measured: Statistics | None, bias: Tensor | None = None) -> Statistics:
    """Update the running statistics with those of the batch, or return them where these were not measured.

    The measured and the returned statistics are of maps without a bias ``[channel]`` that the normalised ones have.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        if measured is None:
            mean = norm.running_mean if bias is None else norm.running_mean - bias
            return Statistics(mean, norm.running_var, 1, are_of_batch=False)
        mean = measured.mean if bias is None else measured.mean + bias
        unbiased = measured.variance * (measured.count / max(1, measured.count - 1))
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        momentum = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), momentum)
    return measured


@dataclass(frozen=True, slots=True)
class NormalisationGradient:
    """Coefficients of the backward pass of batch normalisation, ``[channel]`` each, in float64.

    The gradient of the maps is ``factor`` times the gradient of the normalised maps, plus ``slope`` times the maps,
    plus ``constant``. ``for_weight`` is the gradient of the normalisation's weight.
    """

    factor: Tensor
    slope: Tensor
    constant: Tensor
    for_weight: Tensor

    @staticmethod
    def compute(
        weight: Tensor, epsilon: float, statistics: Statistics, summed: Tensor, product: Tensor
    ) -> "NormalisationGradient":
        """Compute them from the gradient of the normalised maps, summed, and summed times the maps.

        ``weight`` and ``epsilon`` are those of the normalisation.
        """
        rate = (statistics.variance.double() + epsilon).rsqrt()
        mean = statistics.mean.double()
        for_weight = rate * (product - mean * summed)
        factor = weight.double() * rate
        if not statistics.are_of_batch:
            zero = torch.zeros_like(factor)
            return NormalisationGradient(factor, zero, zero, for_weight)
        slope = -factor * rate * for_weight / statistics.count
        return NormalisationGradient(factor, slope, -slope * mean - factor * summed / statistics.count, for_weight)
