"""Where a run's checkpoints lie, and by which names weights stand in them; knows no framework."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

#: In a run's folder.
FOLDER = "checkpoints"
LAST = "last.ckpt"
BEST = "best.ckpt"
#: Under which a scene classifier's training step keeps its network.
NETWORK = "network."
Value = TypeVar("Value")


def find_checkpoint(path: Path, name: str) -> Path | None:
    """The file that people mean by itself, by the folder that holds it, or by the folder of its run."""
    return next((each for each in (path, path / name, path / FOLDER / name) if each.is_file()), None)


def weights_under(prefix: str, state: Mapping[str, Value]) -> dict[str, Value]:
    """The part of a state whose names begin with the prefix, by the names that follow it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
