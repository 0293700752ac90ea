"""Which classes a configuration may name: each group's own kind, and from a file this package's alone."""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from dcase_sweep.utils.errors import UserError

#: Where this package's classes of each group are.
PACKAGES = {
    "data": ("dcase_sweep.data.", "dcase_sweep.demo."),
    "front_end": ("dcase_sweep.audio.",),
    "model": ("dcase_sweep.models.",),
    "task": ("dcase_sweep.tasks.",),
}
#: What a class of each group must have, and what it is then.
_REQUIRED = {
    "data": (("load",), "a data set"),
    "front_end": (("__call__",), "a front end"),
    "task": (("kind", "learners", "monitor", "evaluate"), "a task"),
    "task.learner": (("fit", "predict"), "a learner"),
}
#: Classes that the command line names, by their keys (``model._target_``): one, or any of several.
Named = Mapping[str, str | frozenset[str]]
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def locate(key: str, target: str) -> Any:
    """What a configuration names by its full name: a class, or a function that makes an object.

    Args:
        key: of the configuration, for messages.
        target: the full name.

    Raises:
        UserError: if there is nothing of that name.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # a module of the user's own can fail in any way
        reason = str(error).splitlines()[0] if str(error) else ""
        reason = reason if isinstance(error, (ImportError, AttributeError, ValueError)) else _named(error, reason)
        raise UserError(f"{key}={target}: {reason}; expected the full name of a class") from None


def locate_class(group: str, target: str, key: str | None = None) -> type:
    """The class that a group names.

    Args:
        group: ``data``, ``front_end``, ``model``, ``task`` or ``task.learner``.
        target: the full name.
        key: of the configuration, for messages; None = the group's ``_target_``.

    Raises:
        UserError: if there is no such class, or it is of another kind than the group's.
    """
    key = key or f"{group}._target_"
    found = locate(key, target)
    if not isinstance(found, type):
        raise UserError(f"{key}={target}: a {type(found).__name__}, not a class; expected {_kind(group)}")
    if not _is_of_kind(group, found):
        raise UserError(f"{key}={target}: not {_kind(group)}; expected a class that is one")
    return found


def check_file_target(group: str, target: object, named: Named) -> None:
    """Refuse a class that a file names and that is neither this package's nor named on the command line.

    Nothing outside this package is imported for the check.

    Args:
        group: ``data``, ``front_end``, ``model`` or ``task``.
        target: what the file says.
        named: classes that the command line names.

    Raises:
        UserError: in one line that says what to add.
    """
    key = f"{group}._target_"
    if not isinstance(target, str) or not _NAME.fullmatch(target) or len(target) > 200:
        raise UserError(f"{key}: expected the full name of a class")
    wanted = named.get(key, frozenset())
    if isinstance(wanted, str) and wanted != target:
        raise UserError(f"{key}={wanted}: the file was made with {target}; expected the same class")
    if target == wanted or target in wanted:
        return
    if not target.startswith(PACKAGES[group]):
        raise UserError(
            f"{key}={target}: not a class of dcase_sweep, and a file is not trusted to name code; "
            f"if the class is yours, add {key}={target}"
        )
    found = locate_class(group, target)
    if not found.__module__.startswith(PACKAGES[group]):
        raise UserError(f"{key}={target}: not a class of dcase_sweep; expected {_kind(group)}")


def _is_of_kind(group: str, found: type) -> bool:
    if group == "model":
        from torch import nn

        return issubclass(found, nn.Module)
    names, _ = _REQUIRED[group]
    # Not hasattr: every class has __call__, that of its own making.
    return all(any(name in vars(base) for base in found.__mro__) for name in names)


def _kind(group: str) -> str:
    return "a network (torch.nn.Module)" if group == "model" else _REQUIRED[group][1]


def _named(error: Exception, reason: str) -> str:
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
