"""Copies of tensors in main memory, for which a GPU is waited for once and not for each tensor."""

from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor


def copy_to_host(content: Any) -> Any:
    """Return nested containers with copies of all tensors on a GPU in main memory; other tensors stay as they are.

    Tensors that are the same part of the same memory, such as shared weights, have one copy. A frozen dataclass, which
    the state of a callback may contain, stays as it is.
    """
    copies: dict[Any, Tensor] = {}

    def copy(tensor: Tensor) -> Tensor:
        if tensor.device.type == "cpu":
            return tensor
        key = tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
        if key not in copies:
            # Only for CUDA are all reads of such a copy known to be safe after the synchronisation below.
            copies[key] = tensor.to("cpu", non_blocking=tensor.is_cuda)
        return copies[key]

    result = apply_to_collection(content, Tensor, copy, allow_frozen=True)
    if any(device.type == "cuda" for device, *_ in copies):
        torch.cuda.synchronize()
    return result
