"""Scene probabilities in float16, as the task 1A baseline system computes them in its test stage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_model
from dcase_sweep.training.checkpoints import NETWORK, weights_under


def _rounded(value: Tensor) -> Tensor:
    """The nearest float16 numbers, as float32."""
    return value.half().float() if value.is_floating_point() else value


def round_to_float16(network: nn.Module) -> nn.Module:
    """Let a network compute with the accuracy of float16, in place.

    Its parameters and running statistics, its input and the result of each of its layers are rounded to float16.
    Within a layer sums are taken in float32, as GPUs take them, so that every device gives the same result. Batch
    normalisation is computed in float32 from rounded statistics, as in Keras.
    """
    with torch.no_grad():
        for stored in (*network.parameters(), *network.buffers()):
            stored.copy_(_rounded(stored))
    network.register_forward_pre_hook(lambda module, inputs: tuple(_rounded(each) for each in inputs))
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda module, inputs, output: _rounded(output))
    return network


def float16_probabilities(
    experiment: Experiment,
    state: Mapping[str, Tensor],
    features: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    classes: int,
    device: str = "cpu",
    at_once: int = 64,
) -> NDArray[np.float32]:
    """Class probabilities ``[clip, class]`` by a network whose weights are cast to float16.

    The official test stage casts the trained weights to float16 and builds the network in that precision;
    normalisation comes before it and stays as it is. An activation beyond 65,504 is infinite, and the clip's
    probabilities are then not finite.

    Args:
        state: weights and normalisation by the names that they have in a checkpoint.
        features: ``[recording, mel, frame]``, not normalised.
        rows: the recordings.
        classes: number of classes.
        device: PyTorch's name of where to compute.
    """
    network = build_model(experiment, classes=classes)
    network.load_state_dict(weights_under(NETWORK, state))
    network = round_to_float16(network).to(device).eval()
    mean, deviation = (state[name].to(device) for name in ("mean", "deviation"))
    parts: list[Any] = []
    with torch.inference_mode():
        for start in range(0, len(rows), at_once):
            clips = torch.from_numpy(features[rows[start : start + at_once]]).to(device)
            logits = network((clips - mean) / deviation)
            parts.append(_rounded(torch.softmax(logits, dim=1)).cpu().numpy())
    return np.concatenate(parts)
