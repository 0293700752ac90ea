"""One-line messages for keys below ``hydra``, such as ``hydra.sweeper``, that do not exist."""

import inspect
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.classes import locate
from dcase_sweep.config.signatures import TARGET
from dcase_sweep.utils.errors import UserError, get_reason
from dcase_sweep.utils.text import printable, suggest


def find_missing(typed: str, cause: BaseException | None) -> str:
    """Return the key that does not exist: the typed one, or one below it if its value is a dictionary.

    Args:
        typed: the key of an override.
        cause: the error of OmegaConf.
    """
    full = str(cause.full_key) if isinstance(cause, OmegaConfBaseException) else ""
    full = re.sub(r"\[(\d+)\]", r".\1", full)
    return full if full.startswith(f"{typed}.") else typed


def explain_key(key: str, cause: BaseException) -> str:
    """Explain why a key below ``hydra`` cannot be overridden.

    Args:
        key: the key as typed.
        cause: the error of OmegaConf.
    """
    first = get_reason(cause)
    if not isinstance(cause, OmegaConfBaseException):
        return f"{key}: {first}"
    parent: Any = cause.parent_node
    if not isinstance(parent, DictConfig) or cause.key is None or cause.key in parent:
        return f"{key}: {first}"
    name, above = str(cause.key), str(cause.full_key).rpartition(".")[0]
    target = parent.get(TARGET, None)
    known = [str(each) for each in parent if not str(each).startswith("_")]
    if target is not None and name in list_arguments(above, str(target)):
        return f"{key}: not in the configuration of {above}; +{key}=VALUE adds it"
    expected = f"expected one of {', '.join(known)}" if known else f"the chosen {above.replace('.', '/')} has none"
    if target is None and OmegaConf.get_type(parent) is dict:  # its keys are free
        expected = f"+{key}=VALUE adds it"
    return f"{key}: no such key; {suggest(name, known, prefix=f'{above}.', otherwise=expected)}"


def explain_call(key: str, target: str, reason: str) -> str:
    """Explain why a class below ``hydra`` could not be created: by the key that it does not take, if that is why.

    Args:
        key: key of its configuration.
        target: the class.
        reason: the message of its error.
    """
    unexpected = re.search(r"got an unexpected keyword argument '([^']+)'", reason)
    known = sorted(list_arguments(key, target)) if unexpected else []
    if unexpected is None or not known:
        return f"{key}.{TARGET}={target}: {reason}"
    hint = suggest(unexpected[1], known, prefix=f"{key}.", otherwise=f"expected one of {', '.join(known)}")
    return f"{key}.{printable(unexpected[1])}: no such key; {hint}"


def list_arguments(key: str, target: str) -> set[str]:
    """Return the arguments of a class, with those that it passes on to the classes that it is derived from.

    Args:
        key: key of its configuration.
        target: the class; empty if there is none of this name.
    """
    try:
        found: Any = locate(key, target)
    except UserError:
        return set()
    names: set[str] = set()
    for cls in getattr(found, "__mro__", ()):
        parameters = inspect.signature(cls.__init__).parameters.values() if "__init__" in vars(cls) else ()
        names |= {each.name for each in parameters if each.kind is not each.VAR_KEYWORD and each.name != "self"}
        if parameters and not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return names
