"""Which parameters decide the architecture of a trial, so that trials which are trained together share them."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna.space import Space

log = logging.getLogger(__name__)


def list_shared(
    application: Application, parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    """Return those of the parameters of a trial that decide its architecture.

    Args:
        application: says which keys may differ.
        parameters: name → value. A name is a key; a choice is a text as typed on the command line.
        distributions: name → possible values. A key that can be a number with a fraction may differ.
    """
    return {
        name: value for name, value in parameters.items() if not _can_differ(application, name, distributions[name])
    }


def count_trials_together(application: Application, space: Space, job: PreparedJob, *, seeds: int, fused: int) -> int:
    """Return how many trials a worker trains together. A line says why only one, if more are wanted.

    Args:
        application: the application.
        space: the space of the search.
        job: a job of the search.
        seeds: number of seeds of each trial, at least 1.
        fused: largest number of trainings at the same time.
    """
    if fused == 1:
        return 1
    obstacle = application.find_obstacle(job)
    if obstacle is not None:
        what = "the seeds of a trial" if seeds > 1 else "trials"
        log.info(f"search    {what} are trained one after the other: {obstacle}")
        return 1
    together = fused // seeds
    if together > 1 and _decides_all(application, space):
        what = "only the seeds of a trial are trained together" if seeds > 1 else "trials are trained one by one"
        log.info(f"search    {what}: every varied key decides the architecture")
        return 1
    return max(1, together)


def _decides_all(application: Application, space: Space) -> bool:
    """Whether two different trials cannot have one architecture."""
    parts = space.list_parts()
    return parts is not None and not any(
        _can_differ(application, name, distribution) for part in parts for name, distribution in part.items()
    )


def _can_differ(application: Application, name: str, distribution: BaseDistribution) -> bool:
    """Whether a parameter may differ between trials of one architecture."""
    if distribution.single():
        return False
    values = distribution.choices if isinstance(distribution, CategoricalDistribution) else (distribution.low,)  # type: ignore[attr-defined]
    return not all(_is_shared(application, name, value) for value in values)


def _is_shared(application: Application, name: str, value: Any) -> bool:
    return application.must_be_shared(name.lstrip("+"), _parse(value) if isinstance(value, str) else value)


@cache
def _parse(text: str) -> Any:
    """Return the value of a choice by Hydra's grammar; of what it cannot parse, the text."""
    try:
        return OverridesParser.create().parse_override(f"x={text}").value()
    except HydraException:
        return text
