"""Products of matrices in Triton kernels, and the types of their operands."""

# mypy: ignore-errors

from typing import Any

import torch
import triton
import triton.language as tl

_TYPES = {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}


@triton.jit
def dot(a, b, TYPE: tl.constexpr, WIDE: tl.constexpr):
    """Multiply matrices whose values are rounded to `TYPE`; with `WIDE` as float32."""
    a, b = a.to(TYPE), b.to(TYPE)
    if WIDE:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision="ieee")


def product_constants(dtype: torch.dtype) -> dict[str, Any]:
    """The constants of `dot` for operands of a type. Triton's interpreter does not multiply bfloat16."""
    return {"TYPE": _TYPES[dtype], "WIDE": triton.knobs.runtime.interpret}
