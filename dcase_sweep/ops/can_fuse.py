"""The conditions under which this package's CPU operations replace PyTorch's layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

_SIZES = (2, 4, 8)
#: How many contexts of `only_layers` are entered.
_contexts = 0


@contextmanager
def only_layers() -> Iterator[None]:
    """Context in which PyTorch's layers compute everything, because functions of them are transformed."""
    global _contexts
    _contexts += 1
    try:
        yield
    finally:
        _contexts -= 1


def can_fuse(values: Tensor, *bypassed: nn.Module) -> bool:
    """Whether one fused operation may compute on ``values`` in place of the ``bypassed`` layers.

    It may in eager mode on a CPU. Compilers, exporters and tracers need PyTorch's operators, and hooks and dispatch
    modes count or change them, so with any of these PyTorch's layers run one by one.
    """
    return (
        not _contexts
        and values.device.type == "cpu"
        and values.is_floating_point()
        and values.element_size() in _SIZES
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and _get_current_dispatch_mode() is None
        and not any(module._forward_hooks or module._forward_pre_hooks for module in bypassed)
    )


def computes_in_full(values: Tensor, weight: Tensor) -> bool:
    """Whether a layer with this weight computes in float32 or float64 throughout, on a CPU."""
    return (
        values.dtype == weight.dtype
        and values.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )
