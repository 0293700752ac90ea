"""Lists of configurations that overrides replace, such as the blocks of a network."""

from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.sweep.copies import CopiedConfig

#: Largest number of mappings that are kept. Those with values of a continuous space never occur again.
_MOST = 2000


class ReplacedLists:
    """Replaces lists in configurations as Hydra does, in less time.

    Hydra merges the new list into the old one and copies each entry several times. Here it is set, and a mapping in it
    that has occurred before is copied at once.
    """

    def __init__(self) -> None:
        #: Mappings by their texts; None for one that has occurred once.
        self._known: dict[str, CopiedConfig | None] = {}

    def replace(self, override: Override, config: DictConfig) -> bool:
        """Replace a list in a configuration by that of an override. Returns whether this is possible."""
        value = override.value()
        if override.type is not OverrideType.CHANGE or override.package is not None or not isinstance(value, list):
            return False
        place, _, name = override.key_or_group.rpartition(".")
        try:
            node = OmegaConf.select(config, place) if place else config
            if not isinstance(node, DictConfig) or name not in node or OmegaConf.is_interpolation(node, name):
                return False
            if not isinstance(node.get(name), ListConfig):
                return False
            with flag_override(node, "no_deepcopy_set_nodes", True):
                OmegaConf.update(node, name, [self._copy(each) for each in value], merge=False)
        except OmegaConfBaseException:  # Hydra says what is wrong
            return False
        return True

    def _copy(self, value: Any) -> Any:
        """Return a new node with a mapping if it has occurred before; otherwise the value itself."""
        if not isinstance(value, dict):
            return value
        text = repr(value)
        if text not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[text] = None
            return value
        known = self._known[text]
        if known is None:
            known = self._known[text] = CopiedConfig(OmegaConf.create(value))
        return known.copy()
