"""Int8 fake quantisation: a network is computed with the rounding of its 8-bit version, and trained with it.

The scheme is that of TensorFlow Lite's 8-bit converter (Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", 2018; Krishnamoorthi, 2018). Weights are symmetric from -127 to 127 with
one scale per output channel, after folding of batch normalisation. Activations are asymmetric from -128 to 127 with one
scale and zero point per tensor. Biases have 32 bits and are not changed. Gradients pass through the rounding unchanged,
and are zero where a value is clipped.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

#: Largest weight of the past in the moving average of a range.
_DECAY = 0.99
_WEIGHT_LIMIT = 127
_LOWEST, _HIGHEST = -128, 127
#: Layers whose outputs are a selection of their inputs, and therefore have the same scale.
_PASSING = (nn.MaxPool1d, nn.MaxPool2d, nn.Dropout, nn.Flatten, nn.Unflatten, nn.Identity)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_WEIGHTED = (*_CONVOLUTIONS, nn.Linear)
#: Layers that are folded into the convolution before them.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
#: Layers that the converter fuses with the layer before.
_ACTIVATIONS = (nn.ReLU, nn.ReLU6)


def quantize_weights(weights: Tensor) -> Tensor:
    """Quantise weights ``[output channel, ...]`` with a scale per channel; a channel of zeros does not change."""
    reduced = list(range(1, weights.ndim))
    scale = weights.detach().abs().amax(reduced).float() / _WEIGHT_LIMIT
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero_point = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weights, scale, zero_point, 0, -_WEIGHT_LIMIT, _WEIGHT_LIMIT)


def quantize_activations(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Quantise values of any shape within a range, which is extended to contain 0 exactly."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = ((high - low) / (_HIGHEST - _LOWEST)).clamp(min=torch.finfo(torch.float32).eps)
    zero_point = (_LOWEST - low / scale).round().clamp(_LOWEST, _HIGHEST).int()
    return torch.fake_quantize_per_tensor_affine(values, scale, zero_point, _LOWEST, _HIGHEST)


@dataclass(slots=True)
class Range:
    """A moving average of the smallest and largest values of a tensor over batches."""

    low: Tensor
    high: Tensor
    batches: int = 0

    def observe(self, values: Tensor) -> None:
        """Add a batch. The first batches have equal weights."""
        low, high = values.detach().aminmax()
        decay = min(_DECAY, self.batches / (self.batches + 1))
        self.low = decay * self.low.to(low.device) + (1 - decay) * low
        self.high = decay * self.high.to(high.device) + (1 - decay) * high
        self.batches += 1


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of a network by layer name: folded layers, and layers whose output is quantised."""

    weighted: tuple[str, ...]
    #: Batch normalisation → the layer before it.
    folded: dict[str, str]
    outputs: tuple[str, ...]


def read_structure(network: nn.Module, input_shape: tuple[int, int]) -> Structure:
    """Find the structure of a network for clips of ``(mel, frame)`` by a forward pass of one clip.

    Functions applied to tensors between layers are not found, and neither are layers with several results, such as
    recurrent ones; they are computed in float32.
    """
    leaves = {name: module for name, module in network.named_modules() if not list(module.children())}
    producer: dict[int, str] = {}
    successors: dict[str, list[str]] = {name: [] for name in leaves}
    called: list[str] = []
    kept: list[Any] = []  # keeps tensors alive, so that no id is reused

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if inputs and id(inputs[0]) in producer:
                successors[producer[id(inputs[0])]].append(name)
            if isinstance(output, Tensor):
                producer[id(output)] = name
                called.append(name)
            kept.extend([*inputs[:1], output])

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in leaves.items()]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *input_shape, device=next(network.parameters()).device))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()

    def joins(name: str, kinds: tuple[type[nn.Module], ...]) -> bool:
        return len(successors[name]) == 1 and isinstance(leaves[successors[name][0]], kinds)

    weighted = tuple(name for name in called if isinstance(leaves[name], _WEIGHTED))
    convolutions = [name for name in weighted if isinstance(leaves[name], _CONVOLUTIONS)]
    folded = {successors[name][0]: name for name in convolutions if joins(name, _NORMS)}
    inner = {name for name in (*weighted, *folded) if joins(name, _ACTIVATIONS)} | set(folded.values())
    outputs = tuple(name for name in called if name not in inner and not isinstance(leaves[name], _PASSING))
    return Structure(weighted, folded, outputs)


class FakeQuantization:
    """Calls a network with quantised weights and activations while it is on. The network itself is not changed.

    While it is on, batch normalisation uses its running statistics, also in training, because it will be folded. Its
    scale and shift are still trained through the folded weights. All computations are in float32, because half
    precision cannot represent the quantised values.

    Args:
        network: ``[batch, mel, frame]`` → logits.
        input_shape: ``(mel, frame)``.
    """

    _INPUT = "input"

    def __init__(self, network: nn.Module, input_shape: tuple[int, int]) -> None:
        self.network = network
        self.structure = read_structure(network, input_shape)
        self.modules = dict(network.named_modules())
        self.is_on = False
        self.is_observing = False
        self.ranges: dict[str, Range] = {}

    def __call__(self, features: Tensor) -> Tensor:
        """Compute logits from features ``[batch, mel, frame]``."""
        if not self.is_on:
            plain: Tensor = self.network(features)
            return plain
        with torch.autocast(features.device.type, enabled=False), self._hooked():
            values = self._activation(self._INPUT, features.float())
            # A weight that two layers share is quantised for each, because each has its own batch normalisation.
            logits: Tensor = functional_call(self.network, self.weights(), (values,), tie_weights=False)
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Return the quantised weights and the biases, with batch normalisation folded into both."""
        folds = {layer: self.modules[norm] for norm, layer in self.structure.folded.items()}
        found: dict[str, Tensor] = {}
        for name in self.structure.weighted:
            layer: Any = self.modules[name]
            weight, bias = layer.weight, layer.bias
            if name in folds:
                norm: Any = folds[name]
                gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                weight = weight * gain.view(-1, *[1] * (weight.ndim - 1))
                bias = None if bias is None else norm.bias + (bias - norm.running_mean) * gain
            found[f"{name}.weight"] = quantize_weights(weight)
            if bias is not None:
                found[f"{name}.bias"] = bias
        return found

    def state(self) -> dict[str, Tensor]:
        """Return the range ``[low, high, batches]`` of each tensor, to be stored with the weights."""
        return {
            name: torch.stack([each.low, each.high, torch.tensor(float(each.batches), device=each.low.device)]).cpu()
            for name, each in self.ranges.items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore ranges."""
        self.ranges = {name: Range(value[0], value[1], int(value[2])) for name, value in state.items()}

    def _activation(self, name: str, values: Tensor) -> Tensor:
        if self.is_observing and self.network.training:
            nothing = torch.zeros((), device=values.device)
            self.ranges.setdefault(name, Range(nothing, nothing)).observe(values)
        seen = self.ranges.get(name)
        if seen is None:
            raise RuntimeError(f"no range of {name!r} has been seen in training, so its values cannot be quantised")
        return quantize_activations(values, seen.low.to(values.device), seen.high.to(values.device))

    def _unfolded_shift(self, norm: Any, layer: Any, values: Tensor) -> Tensor:
        """Return what remains of a folded normalisation: nothing, or the shift if the layer has no biases."""
        if layer.bias is not None:
            return values
        shift = norm.bias - norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return values + shift.view(1, -1, *[1] * (values.ndim - 2))

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Context in which activations are quantised and folded normalisation layers do nothing."""
        pairs = [(self.modules[norm], self.modules[layer]) for norm, layer in self.structure.folded.items()]
        modes = [norm.training for norm, _ in pairs]
        handles = [
            norm.register_forward_hook(
                lambda module, inputs, _, layer=layer: self._unfolded_shift(module, layer, inputs[0])
            )
            for norm, layer in pairs
        ]
        handles += [
            self.modules[name].register_forward_hook(
                lambda module, _, output, name=name: self._activation(name, output)
            )
            for name in self.structure.outputs
        ]
        for norm, _ in pairs:
            norm.eval()  # otherwise the batch would change the statistics that are folded
        try:
            yield
        finally:
            for (norm, _), mode in zip(pairs, modes, strict=True):
                norm.train(mode)
            for handle in handles:
                handle.remove()
