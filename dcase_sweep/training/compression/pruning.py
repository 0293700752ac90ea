"""Global magnitude pruning to a size in bytes (Han et al., 2015; Zhu & Gupta, 2017).

`torch.nn.utils.prune` sets the same weights to 0, bit for bit and in the same time (49 against 51 ms for half of
190,200), but replaces each weight by two tensors, ``weight_orig`` and ``weight_mask``: checkpoints would be twice as
large and have other names than those of the same network without pruning, and neither fake quantisation nor the export
reads them. ``prune.remove`` restores the names, but not the order of the parameters, by which the state of an optimizer
is stored. Among equal magnitudes it chooses any: of 64 equal weights the 42nd to 45th and the 47th, not the first five.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dcase_sweep.complexity.layers import Layer
from dcase_sweep.complexity.operations import location
from dcase_sweep.complexity.rules import Complexity, layer_complexity
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.precision import Bits

#: Layers whose weights may become zero. Biases and batch normalisation have few parameters, and each affects a whole
#: map. What other layers and a network itself own is not pruned either.
_PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def prunable_weights(network: nn.Module, layers: Sequence[Layer]) -> list[Tensor]:
    """Return the weights of those convolutional and dense layers that count, each once, also if layers share it."""
    modules = dict(network.named_modules())
    used = [modules[layer.name] for layer in layers if layer.name in modules]
    weights = [module.weight for module in used if isinstance(module, _PRUNABLE)]
    return list({location(weight): weight for weight in weights}.values())


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """The number of weights that must become zero for a given size of the non-zero parameters."""

    #: Number of weights that may become zero, and that must.
    weights: int
    zeros: int
    #: Size of the network in bytes without zeros, and with these zeros.
    before: int
    after: int

    @property
    def sparsity(self) -> float:
        """The fraction of zeros among the weights of convolutional and dense layers."""
        return self.zeros / self.weights


def plan_pruning(layers: Sequence[Layer], weights: int, *, kib: float | None, bits: Bits) -> PruningPlan:
    """Compute the smallest number of zeros with which all parameters, including biases and batch normalisation, fit.

    Args:
        layers: the layers of the network; only their sizes matter.
        weights: number of parameters that may become zero.
        kib: target size of the non-zero parameters in KiB at ``bits`` each (batch normalisation: 32 bits); None = no
            pruning.

    Raises:
        UserError: if the parameters that cannot be pruned take all of it or more.
    """
    filled = Complexity(
        tuple(layer_complexity(each.name, each.kind, [np.ones_like(a) for a in each.arrays]) for each in layers)
    )
    size, value = filled.size_bytes(bits), bits // 8
    limit = size if kib is None else int(kib * 1024)
    zeros = max(-(-(size - limit) // value), 0)
    if zeros >= weights:
        fixed = (size - weights * value) / 1024
        raise UserError(
            f"compression.nonzero_kib={kib:g}: biases, normalisation and other parameters, which are not pruned, take "
            f"{fixed:.2f} of the {size / 1024:.2f} KiB at {bits} bit; expected more than that"
        )
    return PruningPlan(weights, zeros, size, size - zeros * value)


@torch.no_grad()
def zero_smallest(weights: Sequence[Tensor], zeros: int) -> None:
    """Set the ``zeros`` values of smallest magnitude over all tensors to 0, in place; equal values in order.

    Existing zeros are included, so the number of zeros never decreases.
    """
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    chosen = torch.sort(magnitudes, stable=True).indices[:zeros]
    keep = torch.ones_like(magnitudes, dtype=torch.bool)
    keep[chosen] = False
    start = 0
    for weight in weights:
        weight.masked_fill_(~keep[start : start + weight.numel()].view(weight.shape), 0.0)
        start += weight.numel()


class Pruner:
    """Keeps pruned weights at zero during training, and increases their number.

    Weights that are zero after a step stay zero: a mask is taken from the weights before each optimizer step and
    applied after it, so that momentum and Adam's moments do not change them. A resumed training needs only the
    checkpoint of the weights. A network that was pruned before keeps its zeros.
    """

    def __init__(self, weights: Sequence[Tensor], plan: PruningPlan) -> None:
        self.weights = list(weights)
        self.plan = plan
        self._masks: list[Tensor] = []

    def remember(self) -> None:
        """Store which weights are zero, before an optimizer step."""
        self._masks = [weight.detach() == 0 for weight in self.weights]

    @torch.no_grad()
    def enforce(self, share: float) -> None:
        """Restore the zeros, then set the smallest weights to zero up to a fraction of the planned number.

        Args:
            share: fraction from 0 to 1.
        """
        for weight, mask in zip(self.weights, self._masks, strict=True):
            weight.masked_fill_(mask, 0.0)
        wanted = int(share * self.plan.zeros)
        if wanted > sum(int((weight == 0).sum()) for weight in self.weights):
            zero_smallest(self.weights, wanted)
