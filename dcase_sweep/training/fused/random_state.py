"""The random numbers of the process, which each of several trainings has for itself."""

import random
from typing import Any

import numpy as np
import torch

from dcase_sweep.config import Experiment, flatten
from dcase_sweep.utils.turns import GlobalState

_TORCH = GlobalState(torch.get_rng_state, torch.set_rng_state)
_OF_CPU = (
    _TORCH,
    GlobalState(np.random.get_state, np.random.set_state),
    GlobalState(random.getstate, random.setstate),
)


def _read() -> Any:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return [each.read() for each in _OF_CPU], cuda


def _write(state: Any) -> None:
    of_cpu, cuda = state
    for generator, value in zip(_OF_CPU, of_cpu, strict=True):
        generator.write(value)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda)


#: The default generators of PyTorch, NumPy and Python.
RANDOM = GlobalState(_read, _write)

#: Packages whose steps draw from PyTorch's generators and from those that they are given.
_KNOWN = ("dcase_sweep.", "torch.")


def find_generators(experiment: Experiment) -> tuple[GlobalState, ...]:
    """Return the default generators of the CPU from which the steps of an experiment may draw.

    Setting those of NumPy and Python takes longer than preparing a batch, so it is done only for the user's own code.
    """
    targets = [value for key, value in flatten(experiment).items() if key.endswith("_target_") and value is not None]
    if all(str(each).startswith(_KNOWN) for each in [*targets, experiment.task.learner or _KNOWN[0]]):
        return (_TORCH,)
    return _OF_CPU
