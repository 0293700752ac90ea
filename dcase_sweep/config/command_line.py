"""What people may type that Hydra would not read as it is meant: each word is rewritten here, and nowhere else."""

import re
from collections.abc import Sequence

from omegaconf import OmegaConf

from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.hints import GROUPS

#: Groups whose choice may look like a number.
NAMED_GROUPS = (*GROUPS, "search")
_FLAGS = ("-m", "--multirun")
_NUMBER = re.compile(r"\d[\d_]*(\.\d*)?(e\d+)?")


def put_flags_first(arguments: Sequence[str]) -> list[str]:
    """Let ``-m`` stand anywhere: Hydra takes it before all overrides or after them, not between two."""
    return [word for word in arguments if word in _FLAGS] + [word for word in arguments if word not in _FLAGS]


def quote_task(arguments: list[str]) -> list[str]:
    """Let people type ``task=4``: Hydra reads it as a number, and a group's choice must be text."""
    quoted = []
    for argument in arguments:
        found = re.fullmatch(rf"(\+?(?:{'|'.join(NAMED_GROUPS)})=)([0-9A-Za-z_,.]+)", argument)
        if found:
            names = (f"'{name}'" if _NUMBER.fullmatch(name) else name for name in found[2].split(","))
            argument = found[1] + ",".join(names)
        quoted.append(argument)
    return quoted


def with_model_of_task(overrides: list[str]) -> list[str]:
    """Add the model that a task's file names, where a task is chosen and no model.

    A model chooses its task by itself; so ``task=4`` alone must choose a model, or no job of ``-m task=1a,4`` but
    those of one task could run.
    """
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    if "task" not in keys or "model" in keys or "experiment" in keys:
        return overrides
    place = keys.index("task")
    path = conf_folder() / "task" / (overrides[place].partition("=")[2].strip("'\"") + ".yaml")
    if not path.is_file():
        return overrides  # several tasks, or none that Hydra will find
    return [*overrides[: place + 1], f"model={OmegaConf.load(path).task.model}", *overrides[place + 1 :]]
