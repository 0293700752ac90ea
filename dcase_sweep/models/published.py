"""Weights of the published DCASE 2021 task 4 baseline for this package's CRNN.

The baseline's checkpoint (Zenodo record 4639817, written by the recipe ``dcase2021_task4_baseline`` of
github.com/DCASE-REPO/DESED_task) holds two networks in its ``state_dict``:

=============================================  ===========================================
there, behind ``sed_student.`` or              here
``sed_teacher.``
=============================================  ===========================================
``cnn.cnn.conv{i}.{weight,bias}``              ``blocks.{i}.convolution.{weight,bias}``
``cnn.cnn.batchnorm{i}.*``                     ``blocks.{i}.norm.*``
``cnn.cnn.glu{i}.linear.{weight,bias}``        ``blocks.{i}.gate.{weight,bias}``
``rnn.rnn.*``                                  ``recurrent.*``
``dense.{weight,bias}``                        ``strong_head.{weight,bias}``
``dense_softmax.{weight,bias}``                ``attention_head.{weight,bias}``
=============================================  ===========================================

Both store convolution kernels as ``[out, in, frame, mel]``, so every tensor is used unchanged. The checkpoint's
``mel_spec.*``, the window and the filter bank, is not used: the front end computes its own.
"""

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from dcase_sweep.models.crnn import CRNN

_RENAMED = [
    (re.compile(r"blocks\.(\d+)\.convolution\."), r"cnn.cnn.conv\1."),
    (re.compile(r"blocks\.(\d+)\.norm\."), r"cnn.cnn.batchnorm\1."),
    (re.compile(r"blocks\.(\d+)\.gate\."), r"cnn.cnn.glu\1.linear."),
    (re.compile(r"recurrent\."), "rnn.rnn."),
    (re.compile(r"strong_head\."), "dense."),
    (re.compile(r"attention_head\."), "dense_softmax."),
]
_NETWORKS = ("sed_student.", "sed_teacher.")
_FRONT_END = "mel_spec."


def published_name(name: str) -> str:
    """Return the published network's name of a parameter or buffer of :class:`CRNN`."""
    for ours, theirs in _RENAMED:
        if ours.match(name):
            return ours.sub(theirs, name, count=1)
    raise ValueError(f"{name}: not a parameter or buffer of the CRNN")


def load_published(
    state_dict: Mapping[str, Tensor], which: Literal["student", "teacher"] = "student", *, network: CRNN | None = None
) -> dict[str, Tensor]:
    """Convert the state dictionary of the baseline's Lightning checkpoint to one of :class:`CRNN`.

    Args:
        state_dict: the checkpoint's ``["state_dict"]``.
        which: the network to take from it.
        network: the network that will get the weights, if it does not have the baseline's size.

    Raises:
        ValueError: for a key that is missing, unexpected or of another shape.
    """
    if which not in ("student", "teacher"):
        raise ValueError(f"which={which!r}: expected 'student' or 'teacher'")
    unknown = [key for key in state_dict if not key.startswith((*_NETWORKS, _FRONT_END))]
    if unknown:
        raise ValueError(_describe(unknown, "unexpected", "only sed_student.*, sed_teacher.* and mel_spec.*"))
    if network is None:
        with torch.device("meta"):
            network = CRNN()
    prefix = f"sed_{which}."
    expected = {prefix + published_name(name): (name, tensor.shape) for name, tensor in network.state_dict().items()}
    missing = [key for key in expected if key not in state_dict]
    if missing:
        raise ValueError(_describe(missing, "missing", f"the {which} of the DCASE 2021 task 4 baseline's checkpoint"))
    unexpected = [key for key in state_dict if key.startswith(prefix) and key not in expected]
    if unexpected:
        raise ValueError(_describe(unexpected, "unexpected", f"the {len(expected)} keys of a network of this size"))
    for key, (_, shape) in expected.items():
        if state_dict[key].shape != shape:
            raise ValueError(f"{key}: found shape {list(state_dict[key].shape)}; expected {list(shape)}")
    return {name: state_dict[key] for key, (name, _) in expected.items()}


def _describe(keys: list[str], problem: str, expected: str) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"{keys[0]}{more}: {problem} in the state dictionary; expected {expected}"
