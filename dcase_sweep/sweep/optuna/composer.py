"""Composition of the configuration of a trial."""

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf


class Composer:
    """Composes trials. A trial that changes only values copies the shared configuration instead of composing it again.

    Args:
        context: Hydra's context.
        config: the composed sweep.
        fixed: overrides common to all trials.
    """

    def __init__(self, context: HydraContext, config: DictConfig, fixed: Sequence[str]) -> None:
        self.context = context
        self.config = config
        self.fixed = list(fixed)
        self._shared: DictConfig | None = None
        # Hydra builds this name from all overrides during composition.
        subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[call-overload,index]
        self._names_overrides = "override_dirname" in str(subdir)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the configuration with these overrides after the fixed ones.

        Raises:
            HydraException: for an override of a key that does not exist.
        """
        loader = self.context.config_loader
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        if self._names_overrides or any(_may_be_a_group(each.key_or_group) for each in parsed):
            return loader.load_sweep_config(self.config, [*self.fixed, *overrides])
        if self._shared is None:
            self._shared = loader.load_sweep_config(self.config, self.fixed)
        config = copy.deepcopy(self._shared)
        # The last step of Hydra's own composition, and the only one that depends on values.
        ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
        config.hydra.overrides.task.extend(list(overrides))
        return config


def _may_be_a_group(key: str) -> bool:
    """Whether a key may select a file of a group. Only keys below the top level certainly do not."""
    return "/" in key or "." not in key
