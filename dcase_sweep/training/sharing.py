"""Copies of stored features that trainings which take turns in a process share, as long as one of them uses them."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.training.gpu_memory import fits
from dcase_sweep.utils.turns import Turn

Copy = TypeVar("Copy")

_shared: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def share(
    make: Callable[[], Copy],
    features: NDArray[Any],
    rows: NDArray[np.int64],
    labels: Sequence[NDArray[Any]] = (),
    *,
    device: str,
    what: str = "features",
) -> Copy | None:
    """Return a copy of stored features, which trainings that take turns in this process share.

    Args:
        make: makes the copy.
        features: the features ``[clip, ...]``. Copies are shared only of a memory-mapped file.
        rows: the clips that are copied.
        labels: further arrays that the copy contains.
        device: PyTorch's name of the device of the copy.
        what: the features, for a line that says that they do not fit.

    Returns:
        None if the device has no room for the copy.
    """
    key = (make_key(features, [rows, *labels]), device)
    is_shared = Turn.current() is not None and key[0] is not None
    if is_shared and (found := _shared.get(key)) is not None:
        copy: Copy = found
        return copy
    if not fits(device, len(rows) * (features.nbytes // max(len(features), 1)), what):
        return None
    made = make()
    if is_shared:
        _shared[key] = made
    return made


def make_key(features: NDArray[Any], arrays: Sequence[NDArray[Any]]) -> Any:
    """Return what identifies some rows of a memory-mapped file, and arrays with them; None for other features."""
    if not isinstance(features, np.memmap):
        return None
    selection = sha256()
    for each in arrays:
        selection.update(f"{each.dtype} {each.shape} ".encode() + np.ascontiguousarray(each).tobytes())
    return str(features.filename), features.offset, features.shape, features.strides, selection.hexdigest()
