"""Construction of the search space and test composition of one trial."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.optuna.custom_space import CustomSpace, locate_function
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.settings import is_grid, make, make_sampler
from dcase_sweep.sweep.optuna.space import FlatSpace, Space, make_space
from dcase_sweep.sweep.optuna.space_check import check_values
from dcase_sweep.utils.errors import UserError


def make_search_space(
    application: Application, varied: Mapping[str, str], base: DictConfig, parser: OverridesParser, custom: str | None
) -> Space:
    """Return the space of a search.

    Args:
        application: the application, which may define its own space.
        varied: key → expression.
        base: the configuration common to all trials.
        parser: a parser of Hydra's grammar.
        custom: the name of a function that suggests further values.

    Raises:
        UserError: for an invalid expression or function, or an empty space.
    """
    if custom is None:
        return application.make_space(varied, base, parser) or make_space(varied, parser)
    locate_function(custom)
    return CustomSpace(make_space(varied, parser) if varied else FlatSpace(()), custom, base)


def rehearse(space: Space, sampler: Any, pruner: Any, check: Callable[[Sequence[str]], None]) -> bool:
    """Check random trials, so that misspelt keys and invalid values are reported before any trial runs.

    Args:
        space: the space.
        sampler: the configuration of the sampler.
        pruner: the configuration of the pruner.
        check: composes and checks the configuration of a trial.

    Returns:
        Whether the sampler tries all combinations.

    Raises:
        UserError: for a value that no trial can have, or such a sampler with an infinite space.
    """
    made = make_sampler(sampler, worker=0, trials=0)
    make("pruner", pruner)
    if is_grid(made) and list_points(space) is None:
        raise UserError(
            "hydra.sweeper.sampler: it tries every combination, and the space is not finite; expected choice(), "
            "range() or tag(int,interval()) for every key, or another sampler"
        )
    check_values(space, check)
    return is_grid(made)
