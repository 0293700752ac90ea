"""The command that started this process, in a form that can be typed again."""

import os
import shlex
import sys
from collections.abc import Sequence

from dcase_sweep.utils.secrets import mask_word

#: Flags of Hydra that specify the location of the configuration; each is followed by a value.
PLACES = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
#: Hydra's flag for a sweep, short and long.
MULTIRUN = ("-m", "--multirun")


def program() -> list[str]:
    """Return how this process was started: ``python train.py``, ``python -m package`` or the name of a script."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name:
        return ["python", "-m", spec.name.removesuffix(".__main__")]
    path = sys.argv[0]
    if path.endswith(".py"):
        return ["python", os.path.relpath(path)]
    return [os.path.basename(path)]


def places(arguments: Sequence[str] | None = None) -> list[str]:
    """Return the flags in a command line that specify the location of the configuration, with their values."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    found: list[str] = []
    for position, word in enumerate(words):
        if word in PLACES:
            found += words[position : position + 2]
        elif word.startswith(tuple(f"{flag}=" for flag in PLACES)):
            found.append(word)
    return found


def is_multirun(arguments: Sequence[str] | None = None) -> bool:
    """Whether a command line requests a sweep by a flag. A configuration may also do so by ``hydra.mode``."""
    return any(word in MULTIRUN for word in (sys.argv[1:] if arguments is None else arguments))


def join(words: Sequence[str]) -> str:
    """Format a command line of this program from words, with passwords masked."""
    return shlex.join([*program(), *map(mask_word, words)])
