"""The configuration of a trial, composed from what all trials share."""

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf


class Composer:
    """Composes trials; one that changes only values takes a copy, not a composition.

    Args:
        context: Hydra's.
        config: the composed sweep.
        fixed: overrides that all trials share.
    """

    def __init__(self, context: HydraContext, config: DictConfig, fixed: Sequence[str]) -> None:
        self.context = context
        self.config = config
        self.fixed = list(fixed)
        self._shared: DictConfig | None = None
        # Hydra makes this name from all overrides while it composes.
        subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[call-overload,index]
        self._names_overrides = "override_dirname" in str(subdir)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration with these overrides after the fixed ones.

        Raises:
            HydraException: for an override of what is not there.
        """
        loader = self.context.config_loader
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        if self._names_overrides or any(_may_be_a_group(each.key_or_group) for each in parsed):
            return loader.load_sweep_config(self.config, [*self.fixed, *overrides])
        if self._shared is None:
            self._shared = loader.load_sweep_config(self.config, self.fixed)
        config = copy.deepcopy(self._shared)
        # The last step of Hydra's own composition, and its only one that values take part in.
        ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
        config.hydra.overrides.task.extend(list(overrides))
        return config


def _may_be_a_group(key: str) -> bool:
    """Whether a key may choose a group's file; only a value deeper than the top level surely does not."""
    return "/" in key or "." not in key
