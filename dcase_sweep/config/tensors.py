"""Lists of numbers in a configuration for arguments that are tensors, such as the weights of classes in a loss."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from dcase_sweep.config.signatures import Signature


def convert_lists(arguments: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """Return the arguments with a tensor of float32 for each list where the constructor expects a tensor.

    Raises:
        ValueError, TypeError: for a list that is no tensor.
    """
    return {
        name: _to_tensor(name, value) if isinstance(value, list) and is_tensor(signature.types.get(name)) else value
        for name, value in arguments.items()
    }


def is_tensor(annotation: Any) -> bool:
    """Whether an annotation is ``torch.Tensor``, or a union with it. Does not import PyTorch."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return any(
        isinstance(each, type) and (each.__module__.partition(".")[0], each.__name__) == ("torch", "Tensor")
        for each in members
    )


def _to_tensor(name: str, value: list[Any]) -> Any:
    import torch

    try:
        return torch.tensor(value, dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name}={value}: expected numbers, in lists of equal length ({error})") from None
