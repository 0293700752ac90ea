"""The space of a search, and one trial composed of it before any runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.optuna.custom_space import CustomSpace, locate_function
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.settings import is_grid, make, make_sampler
from dcase_sweep.sweep.optuna.space import FlatSpace, Space, make_space
from dcase_sweep.utils.errors import UserError


def make_search_space(
    application: Application, varied: Mapping[str, str], base: DictConfig, parser: OverridesParser, custom: str | None
) -> Space:
    """The space of a search.

    Args:
        application: may have a space of its own.
        varied: key → expression.
        base: the configuration that all trials share.
        parser: of Hydra's grammar.
        custom: the name of a function that suggests more.

    Raises:
        UserError: for an expression or a function that is none, or an empty space.
    """
    if custom is None:
        return application.make_space(varied, base, parser) or make_space(varied, parser)
    locate_function(custom)
    return CustomSpace(make_space(varied, parser) if varied else FlatSpace(()), custom, base)


def rehearse(space: Space, sampler: Any, pruner: Any, compose: Callable[[Sequence[str]], DictConfig]) -> bool:
    """Compose one random trial, so that a misspelt key or an impossible kind of value is reported before any runs.

    Args:
        space: the space.
        sampler: configuration of the sampler.
        pruner: configuration of the pruner.
        compose: makes the configuration of a trial.

    Returns:
        whether the sampler tries every combination.

    Raises:
        UserError: also for such a sampler and a space that is not finite.
    """
    made = make_sampler(sampler, worker=0, trials=0)
    make("pruner", pruner)
    if is_grid(made) and list_points(space) is None:
        raise UserError(
            "hydra.sweeper.sampler: it tries every combination, and the space is not finite; expected choice(), "
            "range() or tag(int,interval()) for every key, or another sampler"
        )
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    compose(space.suggest(trial))
    return is_grid(made)
