"""Keys of the front end that a task or an experiment sets for the front end it was written for.

With ``front_end=NAME`` another one is chosen, which may not have them, such as ``f_max`` of a constant-Q transform.
"""

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.signatures import TARGET, read_signature
from dcase_sweep.utils.errors import UserError

_noticed: set[str] = set()


def remove_keys_of_others(composed: DictConfig, overrides: Sequence[str]) -> None:
    """Remove keys that the chosen front end does not have and others of this package have, with one line of notice.

    Args:
        composed: the composed configuration, which is changed.
        overrides: those of the command line. Their keys are meant for the chosen front end, and are left as they are.
    """
    node = composed.get("front_end")
    if not isinstance(node, DictConfig) or not isinstance(node.get(TARGET), str):
        return
    try:
        signature = read_signature(locate_class("front_end", node[TARGET]))
    except UserError:  # reported by the validation
        return
    if signature.is_open:
        return
    typed = {word.partition("=")[0].lstrip("+") for word in overrides}
    for key in [str(name) for name in node if name != TARGET and name not in signature.arguments]:
        if f"front_end.{key}" not in typed and key in _keys_of_package():
            unresolved: Any = OmegaConf.to_container(node, resolve=False)
            _notice(
                f"note: front_end.{key}={unresolved[key]} is for another front end and is not used: "
                f"{node[TARGET].rpartition('.')[2]} has no such key"
            )
            del node[key]


@lru_cache(maxsize=1)
def _keys_of_package() -> frozenset[str]:
    """Return the keys of all front ends of this package."""
    return frozenset(str(key) for path in (conf_folder() / "front_end").glob("*.yaml") for key in OmegaConf.load(path))


def _notice(line: str) -> None:
    """Print a notice once per process."""
    if line not in _noticed:
        _noticed.add(line)
        print(line, file=sys.stderr)
