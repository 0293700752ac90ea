"""The random numbers of the process, which each of several trainings has for itself."""

import random
from typing import Any

import numpy as np
import torch

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
