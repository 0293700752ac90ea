"""Composition of the configurations of the jobs of one sweep."""

from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig

from dcase_sweep.sweep.copies import CopiedConfig
from dcase_sweep.sweep.quick_overrides import parse_simple
from dcase_sweep.sweep.replaced_lists import ReplacedLists

#: Largest number of parsed overrides that are kept. Values of a continuous space never occur again.
_MOST_PARSED = 20_000
#: Largest number of combinations of groups that are kept.
_MOST_BASES = 64


class Composer:
    """Composes jobs. Jobs with the same choices of groups copy one configuration instead of composing it again.

    The result is that of Hydra's own composition.

    Args:
        context: Hydra's context.
        config: the composed sweep.
        fixed: overrides common to all jobs, which come before their own.
    """

    def __init__(self, context: HydraContext, config: DictConfig, fixed: Sequence[str] = ()) -> None:
        self.context = context
        self.config = config
        self.fixed = list(fixed)
        self._bases: dict[tuple[str, ...], CopiedConfig] = {}
        self._parsed: dict[str, Override] = {}
        self._groups: dict[str, bool] = {}
        self._lists = ReplacedLists()

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the configuration with these overrides after the fixed ones.

        Raises:
            HydraException: for an override of a key that does not exist.
        """
        parsed = [self._parse(line) for line in overrides]
        if any(each.is_hydra_override() for each in parsed):  # may change how the rest is composed
            return self.context.config_loader.load_sweep_config(self.config, [*self.fixed, *overrides])
        is_choice = [self._is_choice(each) for each in parsed]
        choices = [line for line, is_one in zip(overrides, is_choice, strict=True) if is_one]
        config = self._base(choices)
        # Hydra chooses files first, whatever the order, and then changes values in the order of the overrides.
        values = [each for each, is_one in zip(parsed, is_choice, strict=True) if not is_one]
        for each in values:
            if not self._lists.replace(each, config):
                ConfigLoaderImpl._apply_overrides_to_config([each], config)
        self._describe(config, [*map(self._parse, self._tasks), *parsed])
        return config

    @property
    def _tasks(self) -> list[str]:
        """The fixed overrides without those of Hydra's own settings."""
        return [line for line in self.fixed if not self._parse(line).is_hydra_override()]

    def _base(self, choices: Sequence[str]) -> DictConfig:
        """Return a copy of the configuration with the fixed overrides and these choices of groups."""
        key = tuple(choices)
        if key not in self._bases:
            if len(self._bases) >= _MOST_BASES:
                self._bases.pop(next(iter(self._bases)))
            base = self.context.config_loader.load_sweep_config(self.config, [*self.fixed, *choices])
            self._bases[key] = CopiedConfig(base)
        return self._bases[key].copy()

    def _parse(self, line: str) -> Override:
        if line not in self._parsed:
            if len(self._parsed) >= _MOST_PARSED:
                self._parsed.clear()
            parsed = parse_simple(line)
            if parsed is None:
                parser = OverridesParser.create(config_loader=self.context.config_loader)
                parsed = parser.parse_override(line)
            self._parsed[line] = parsed
        return self._parsed[line]

    def _is_choice(self, override: Override) -> bool:
        """Whether an override selects a file of a group, as Hydra decides it."""
        key = override.key_or_group
        if key not in self._groups:
            loader = self.context.config_loader
            assert isinstance(loader, ConfigLoaderImpl)
            self._groups[key] = loader.repository.group_exists(key)
        is_named = override.package is not None
        return is_named or (self._groups[key] and not isinstance(override.value(), dict))

    @staticmethod
    def _describe(config: DictConfig, overrides: Sequence[Override]) -> None:
        """List the overrides in Hydra's own part of a configuration."""
        job = config.hydra.job
        config.hydra.overrides.task = [override.input_line for override in overrides]
        job.override_dirname = get_overrides_dirname(
            overrides=list(overrides),
            kv_sep=job.config.override_dirname.kv_sep,
            item_sep=job.config.override_dirname.item_sep,
            exclude_keys=job.config.override_dirname.exclude_keys,
        )
