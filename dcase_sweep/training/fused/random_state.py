"""The random numbers of the process, which each of several trainings has for itself."""

import random
from typing import Any

import numpy as np
import torch

from dcase_sweep.config import Experiment, flatten
from dcase_sweep.utils.turns import GlobalState


def _read() -> Any:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return torch.get_rng_state(), np.random.get_state(), random.getstate(), cuda  # noqa: NPY002


def _write(state: Any) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    random.setstate(state[2])
    if state[3] is not None:
        torch.cuda.set_rng_state(state[3])


#: The default generators of PyTorch, NumPy and Python.
RANDOM = GlobalState(_read, _write)

_TORCH = GlobalState(torch.get_rng_state, torch.set_rng_state)
_NUMPY = GlobalState(np.random.get_state, np.random.set_state)
_PYTHON = GlobalState(random.getstate, random.setstate)
#: Packages whose steps draw from PyTorch's generators and from those that they are given.
_KNOWN = ("dcase_sweep.", "torch.")


def find_generators(experiment: Experiment) -> tuple[GlobalState, ...]:
    """Return the default generators of the CPU from which the steps of an experiment may draw.

    Setting those of NumPy and Python takes longer than preparing a batch, so it is done only for the user's own code.
    """
    targets = [value for key, value in flatten(experiment).items() if key.endswith("_target_") and value is not None]
    if all(str(each).startswith(_KNOWN) for each in [*targets, experiment.task.learner or _KNOWN[0]]):
        return (_TORCH,)
    return _TORCH, _NUMPY, _PYTHON
