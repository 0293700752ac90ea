"""Scene probabilities in float16, computed as in the test stage of the task 1A baseline system."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcase_sweep.config import Experiment, build_model
from dcase_sweep.training.checkpoints import NETWORK, weights_under

#: Clips that are computed at a time.
_BATCH_SIZE = 64


def _rounded(value: Tensor) -> Tensor:
    """Round to the nearest float16 numbers, as float32."""
    return value.half().float() if value.is_floating_point() else value


def round_to_float16(network: nn.Module) -> nn.Module:
    """Change a network in place so that it computes with the accuracy of float16.

    Its parameters and running statistics, its input and the output of each layer are rounded to float16. Sums within a
    layer are in float32, as on GPUs, so that all devices give the same result. Batch normalisation is computed in
    float32 from rounded statistics, as in Keras.
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
) -> NDArray[np.float32]:
    """Compute class probabilities ``[clip, class]`` with a network whose weights are cast to float16.

    The official test stage casts the trained weights to float16 and builds the network in that precision, after the
    normalisation, which is not changed. An activation beyond 65,504 becomes infinite, and the clip's probabilities are
    then not finite.

    Args:
        state: weights and normalisation by their names in a checkpoint.
        features: ``[recording, mel, frame]``, not normalised.
        rows: the recordings.
        classes: number of classes.
        device: PyTorch's name of the device.
    """
    network = build_model(experiment, classes=classes)
    network.load_state_dict(weights_under(NETWORK, state))
    network = round_to_float16(network).to(device).eval()
    mean, deviation = (state[name].to(device) for name in ("mean", "deviation"))
    parts: list[Any] = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BATCH_SIZE):
            clips = torch.from_numpy(features[rows[start : start + _BATCH_SIZE]]).to(device)
            logits = network((clips - mean) / deviation)
            parts.append(_rounded(torch.softmax(logits, dim=1)).cpu().numpy())
    return np.concatenate(parts)
