"""Locations of a run's checkpoints and names of the weights in them, independent of a framework."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

#: Names in a run's folder.
FOLDER = "checkpoints"
LAST = "last.ckpt"
BEST = "best.ckpt"
#: The result of a finished run.
RESULT = "result.json"
#: Prefix of the network's weights in the training step of a scene classifier.
NETWORK = "network."
Value = TypeVar("Value")


def find_checkpoint(path: Path, name: str) -> Path | None:
    """Return the checkpoint that a path refers to: the file itself, its folder, or the folder of its run."""
    return next((each for each in (path, path / name, path / FOLDER / name) if each.is_file()), None)


def weights_under(prefix: str, state: Mapping[str, Value]) -> dict[str, Value]:
    """Return the part of a state whose names start with the prefix, without the prefix."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
