"""Hashes of the source code on which the trials of a search depend."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config import flatten
from dcase_sweep.config.sources import hash_sources
from dcase_sweep.training.resume import comparable


def hash_search_sources(
    base: Mapping[str, Any],
    varied: Mapping[str, str],
    parser: OverridesParser,
    compose: Callable[[Sequence[str]], DictConfig],
) -> dict[str, str]:
    """Hash the source of every component outside this package that a trial may use.

    Args:
        base: the flattened configuration common to all trials.
        varied: the expressions of the varied keys. Each choice of a varied group has its own components.
        parser: a parser of the expressions.
        compose: composes the configuration with some overrides.
    """
    found = hash_sources(base)
    for key, text in varied.items():
        override = parser.parse_override(f"{key}={text}")
        is_component = key.endswith("_target_") or "." not in key
        if not is_component or not override.is_discrete_sweep():
            continue
        for value in override.sweep_string_iterator():
            try:
                composed = compose([f"{key}={value}"])
            except (HydraException, OmegaConfBaseException):  # trials with this choice are rejected
                continue
            found |= hash_sources(comparable(_flatten_unresolved(composed)))
    return dict(sorted(found.items()))


def _flatten_unresolved(composed: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(composed, resolve=False)
    return flatten({key: value for key, value in plain.items() if key != "hydra"})
