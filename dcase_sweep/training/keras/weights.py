"""Conversion of weights between a network of ``dcase_sweep.models`` and its Keras version, by layer name.

PyTorch's feature maps are ``[batch, channel, mel, frame]``, Keras' are ``[batch, mel, frame, channel]``. Kernels are
therefore transposed, and the rows of the first dense layer after flattening are reordered.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcase_sweep.training.checkpoint_files import find_difference
from dcase_sweep.utils.errors import UserError

Array = NDArray[np.float32]
#: Height, width and channels of a feature map that is flattened.
Map = tuple[int, int, int]

#: PyTorch's names of the arrays of a Keras layer by Keras' names of them, in Keras' order.
_CONVOLUTION = {"kernel": "weight", "bias": "bias"}
_NORMALISATION = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_NAMES = {"Conv2D": _CONVOLUTION, "Dense": _CONVOLUTION, "BatchNormalization": _NORMALISATION}
#: Largest difference of float32 probabilities between the libraries that is one of rounding.
_ROUNDING = 1e-4


def to_keras(state_dict: Mapping[str, Tensor], model: Any) -> None:
    """Load the weights of a network's ``state_dict`` into its Keras version.

    Raises:
        UserError: if a weight is missing, unexpected, or of another shape. The Keras model is then unchanged.
    """
    left = {name for name in state_dict if not name.endswith("num_batches_tracked")}
    chosen: list[tuple[Any, list[Array]]] = []
    for layer, flattened in _weighted(model):
        arrays = []
        for position, name in enumerate(_names(layer)):
            key = f"{layer.name}.{name}"
            if key not in left:
                raise UserError(f"weights: no {key}; expected those of {_described(model)}")
            left.remove(key)
            array = state_dict[key].detach().cpu().float().numpy()
            expected = _from_keras(layer, position, layer.get_weights()[position], flattened).shape
            if array.shape != expected:
                raise UserError(f"weights: {key} is {list(array.shape)}; expected {list(expected)} for {model.name}")
            arrays.append(_to_keras(layer, position, array, flattened))
        chosen.append((layer, arrays))
    if left:
        raise UserError(f"weights: {min(left)} has no place in {model.name}; expected those of {_described(model)}")
    for layer, arrays in chosen:
        layer.set_weights(arrays)


def from_keras(model: Any) -> dict[str, Tensor]:
    """Return the ``state_dict`` of the corresponding PyTorch network, in float32.

    PyTorch's counter of batches in a normalisation is set to 0, because nothing here depends on it.

    Raises:
        UserError: if a layer of the model has an unknown kind of weights.
    """
    state: dict[str, Tensor] = {}
    for layer, flattened in _weighted(model):
        for position, name in enumerate(_names(layer)):
            array = _from_keras(layer, position, layer.get_weights()[position], flattened)
            state[f"{layer.name}.{name}"] = torch.from_numpy(np.array(array, np.float32, order="C"))
        if _NAMES[type(layer).__name__] is _NORMALISATION:
            state[f"{layer.name}.num_batches_tracked"] = torch.tensor(0)
    return state


def check_twin(network: Any, model: Any, features: Array) -> None:
    """Check that a Keras version has the weights of a PyTorch network, and computes the same.

    Args:
        network: the PyTorch network; its weights are replaced.
        model: its Keras version in float32.
        features: normalised features ``[batch, mel, frame]``.

    Raises:
        UserError: with the weight that differs, or the largest difference of probabilities.
    """
    state = from_keras(model)
    where = "model.keras_twin: not the same network as in PyTorch"
    if (wrong := find_difference(network.state_dict(), state)) is not None:
        raise UserError(f"{where}: {wrong}; expected layers of the same names and shapes")
    network.load_state_dict(state)
    with torch.inference_mode():
        expected = torch.softmax(network.eval()(torch.from_numpy(features)), dim=1).numpy()
    found = np.asarray(model.predict_on_batch(features[..., None]))
    if found.shape != expected.shape:
        raise UserError(f"{where}: results {list(found.shape)}; expected probabilities {list(expected.shape)}")
    if (difference := float(np.abs(found - expected).max())) > _ROUNDING:
        raise UserError(f"{where}: with the same weights probabilities differ by {difference:.2g}; expected equal ones")


def _names(layer: Any) -> list[str]:
    """Return PyTorch's names of the arrays that a Keras layer has; a convolution may have no bias."""
    kind = _NAMES[type(layer).__name__]
    return [kind[weight.name] for weight in layer.weights]


def _weighted(model: Any) -> list[tuple[Any, Map | None]]:
    """Yield the layers with weights in order, with the feature map that was flattened before a dense layer, if any."""
    found: list[tuple[Any, Map | None]] = []
    flattened: Map | None = None
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Flatten":
            _, height, width, channels = layer.input.shape
            flattened = (height, width, channels)
        if not layer.weights:
            continue
        if kind not in _NAMES:
            raise UserError(f"weights: {layer.name} is a {kind}; expected one of {', '.join(_NAMES)}")
        found.append((layer, flattened if kind == "Dense" else None))
        flattened = None if kind == "Dense" else flattened
    return found


def _from_keras(layer: Any, position: int, array: Array, flattened: Map | None) -> Array:
    if position or type(layer).__name__ == "BatchNormalization":
        return array
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if flattened is None:
        return array.T
    return array.reshape(*flattened, -1).transpose(3, 2, 0, 1).reshape(array.shape[1], -1)


def _to_keras(layer: Any, position: int, array: Array, flattened: Map | None) -> Array:
    if position or type(layer).__name__ == "BatchNormalization":
        return array
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if flattened is None:
        return array.T
    height, width, channels = flattened
    return array.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, len(array))


def _described(model: Any) -> str:
    return f"{model.name} with {model.count_params():,} parameters"
