"""A search space that is partly defined by a user's function, for conditional parameters."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from omegaconf import DictConfig
from optuna.distributions import BaseDistribution
from optuna.trial import Trial

from dcase_sweep.sweep.optuna.space import FlatSpace
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import override
from dcase_sweep.utils.text import printable

_KEY = "hydra.sweeper.custom_search_space"


@dataclass(frozen=True, slots=True)
class CustomSpace:
    """A space of independent keys and of keys that a user's function suggests.

    Each name that the function passes to ``trial.suggest_...`` is a key of the configuration.

    Args:
        flat: the independent keys.
        name: name of the function, ``package.module.function``. It is called with the shared configuration and the
            trial.
        config: the configuration common to all trials.
    """

    flat: FlatSpace
    name: str
    config: DictConfig

    def suggest(self, trial: Trial) -> list[str]:
        """Return the overrides of the fixed part, then those of the function in alphabetical order."""
        lines = self.flat.suggest(trial)
        known = {parameter.key for parameter in self.flat.parameters}
        locate_function(self.name)(self.config, trial)
        return [*lines, *(override(key, trial.params[key]) for key in sorted(trial.params) if key not in known)]

    def describe(self) -> dict[str, str]:
        """Describe each key of the fixed part by its distribution, and the function by a hash of its source."""
        try:
            source = sha256(inspect.getsource(locate_function(self.name)).encode()).hexdigest()[:12]
        except (OSError, TypeError):
            source = "unknown source"
        return self.flat.describe() | {"custom_search_space": f"{self.name} ({source})"}

    def list_parts(self) -> list[dict[str, BaseDistribution]] | None:
        """Return None: a function may suggest anything."""
        return None


def locate_function(name: str) -> Callable[[DictConfig, Trial], Any]:
    """Return the function with this name.

    Raises:
        UserError: if it does not exist.
    """
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{_KEY}={printable(name)}: {error}; expected package.module.function") from None
    if not callable(found):
        raise UserError(f"{_KEY}={printable(name)}: not a function; expected a function of a configuration and a trial")
    return found
