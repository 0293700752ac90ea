"""When this package's own CPU operations stand in for PyTorch's layers."""

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

_SIZES = (2, 4, 8)


def can_fuse(values: Tensor, *bypassed: nn.Module) -> bool:
    """Whether plain code runs on a CPU, with nobody watching the layers or operators that would be bypassed.

    Compilers, exporters and tracers, which need PyTorch's operators, and hooks and dispatch modes, which count or
    change them, all get PyTorch's layers one by one.
    """
    return (
        values.device.type == "cpu"
        and values.is_floating_point()
        and values.element_size() in _SIZES
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and _get_current_dispatch_mode() is None
        and not any(module._forward_hooks or module._forward_pre_hooks for module in bypassed)
    )
