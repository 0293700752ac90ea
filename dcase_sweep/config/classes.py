"""The classes that a configuration may name: classes of the group's kind; in untrusted files only this package's."""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from dcase_sweep.utils.collection import importing
from dcase_sweep.utils.errors import UserError

#: The modules of this package's classes of each group.
PACKAGES = {
    "data": ("dcase_sweep.data.", "dcase_sweep.demo."),
    "front_end": ("dcase_sweep.audio.",),
    "model": ("dcase_sweep.models.",),
    "task": ("dcase_sweep.tasks.",),
}
#: Attributes that the classes of a group must have, and a description of these classes.
_REQUIRED = {
    "data": (("load",), "a data set"),
    "front_end": (("__call__",), "a front end"),
    "task": (("kind", "learners", "monitor", "evaluate"), "a task"),
    "task.learner": (("fit", "predict"), "a learner"),
}
#: Classes that the command line names, by key (``model._target_``): one class, or several alternatives.
Named = Mapping[str, str | frozenset[str]]
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def names_code(key: str) -> bool:
    """Whether a key names a class of these groups, or of an object within one: ``model.activation._target_``."""
    return key.endswith("._target_") and key.partition(".")[0] in PACKAGES


def locate(key: str, target: str) -> Any:
    """Locate a class or function by its full name.

    Args:
        key: the configuration key, for messages.
        target: the full name.

    Raises:
        UserError: if it does not exist.
    """
    module, _, name = target.rpartition(".")
    try:
        with importing():
            return getattr(import_module(module), name)
    except Exception as error:  # a user's module can raise any error
        reason = str(error).splitlines()[0] if str(error) else ""
        reason = reason if isinstance(error, (ImportError, AttributeError, ValueError)) else _named(error, reason)
        raise UserError(f"{key}={target}: {reason}; expected the full name of a class") from None


def locate_class(group: str, target: str, key: str | None = None) -> type:
    """Locate the class that a group names.

    Args:
        group: ``data``, ``front_end``, ``model``, ``task`` or ``task.learner``.
        target: the full name.
        key: the configuration key, for messages; None = the group's ``_target_``.

    Raises:
        UserError: if the class does not exist, or is not of the group's kind.
    """
    key = key or f"{group}._target_"
    found = locate(key, target)
    if not isinstance(found, type):
        raise UserError(f"{key}={target}: a {type(found).__name__}, not a class; expected {_kind(group)}")
    if not _is_of_kind(group, found):
        raise UserError(f"{key}={target}: not {_kind(group)}; expected a class that is one")
    return found


def check_file_target(group: str, target: object, named: Named) -> None:
    """Check that a class named in a file belongs to this package or is named on the command line.

    Does not import anything outside this package.

    Args:
        group: ``data``, ``front_end``, ``model`` or ``task``.
        target: the class that the file names.
        named: classes that the command line names.

    Raises:
        UserError: in one line with what to add to the command line.
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


def check_nested_target(key: str, target: object, named: Named) -> None:
    """Check that the class of an object within a component, which a file names, is named on the command line too.

    Args:
        key: the key, such as ``model.activation._target_``.
        target: the class that the file names.
        named: classes that the command line names.

    Raises:
        UserError: in one line with what to add to the command line.
    """
    if not isinstance(target, str) or not _NAME.fullmatch(target) or len(target) > 200:
        raise UserError(f"{key}: expected the full name of a class")
    wanted = named.get(key, frozenset())
    if target != wanted and (isinstance(wanted, str) or target not in wanted):
        raise UserError(
            f"{key}={target}: a file is not trusted to name code; if the class is the one that you trained with, "
            f"add {key}={target}"
        )


def check_all_named(flat: Mapping[str, Any], named: Named) -> None:
    """Check that at most one class that a file names is missing on the command line, so that one message has them all.

    Args:
        flat: the configuration of the file, by dotted keys. One missing class is left to the checks of each class.
        named: classes that the command line names.

    Raises:
        UserError: in one line with what to add to the command line.
    """
    missing = [f"{key}={target}" for key, target in flat.items() if _is_missing(key, target, named)]
    if len(missing) > 1:
        raise UserError(
            f"{', '.join(missing)}: a file is not trusted to name code; if the classes are yours, "
            f"add {' '.join(missing)}"
        )


def _is_missing(key: str, target: object, named: Named) -> bool:
    """Whether a class of a file has to be named on the command line, where no class is."""
    if not names_code(key) or not isinstance(target, str) or not _NAME.fullmatch(target) or len(target) > 200:
        return False
    wanted = named.get(key, frozenset())
    if isinstance(wanted, str) or target in wanted:
        return False
    return not target.startswith(PACKAGES.get(key.removesuffix("._target_"), ()))


def _is_of_kind(group: str, found: type) -> bool:
    if group == "model":
        from torch import nn

        return issubclass(found, nn.Module)
    names, _ = _REQUIRED[group]
    # Not hasattr: every class has __call__, to create instances.
    return all(any(name in vars(base) for base in found.__mro__) for name in names)


def _kind(group: str) -> str:
    return "a network (torch.nn.Module)" if group == "model" else _REQUIRED[group][1]


def _named(error: Exception, reason: str) -> str:
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
