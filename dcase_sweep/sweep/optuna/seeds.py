"""The seeds of a trial that is trained with several, and the mean and the spread of their results.

This module imports nothing slow, so that settings are checked and the state of a search is read without Optuna.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dcase_sweep.sweep.comparison import mean_and_std
from dcase_sweep.sweep.job import SEED
from dcase_sweep.sweep.optuna.attributes import SEED_STEP, SEEDS, SPREAD
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.numbers import is_integer, is_number
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

KEY, FUSED = "hydra.sweeper.seeds", "hydra.sweeper.fused"
#: Largest number of seeds of a trial, and of trainings at the same time.
_MOST = 100


def check_seeds(wanted: Any) -> None:
    """Check the setting: a number of seeds, or a list of different ones.

    Raises:
        UserError: if it is neither.
    """
    if _is_seed(wanted) and 1 <= wanted <= _MOST:
        return
    if isinstance(wanted, list) and all(map(_is_seed, wanted)) and 2 <= len(set(wanted)) == len(wanted) <= _MOST:
        return
    raise UserError(
        f"{KEY}={printable(wanted)}: expected a number of seeds from 1 to {_MOST}, or a list of different seeds"
    )


def check_fused(fused: Any) -> None:
    """Check the largest number of trainings that a worker computes together.

    Raises:
        UserError: if it is none.
    """
    if not _is_seed(fused) or not 1 <= fused <= _MOST:
        raise UserError(f"{FUSED}={printable(fused)}: expected a whole number from 1 to {_MOST}")


def list_seeds(wanted: Any, config: DictConfig, varied: Collection[str] = ()) -> tuple[int, ...]:
    """Return the seeds of each trial; none if a trial is one job with the configured seed.

    Args:
        wanted: the setting: a number of seeds, which are counted from the configured one, or a list of them.
        config: the configuration common to all trials.
        varied: the keys that the search varies.

    Raises:
        UserError: if the configuration has no seed to count from, or the search varies it.
    """
    if wanted == 1:
        return ()
    if SEED in varied:
        raise UserError(
            f"{KEY}={printable(wanted)}: the search varies {SEED} itself; expected one of the two: several seeds for "
            f"each trial, or {SEED} among the varied keys"
        )
    if SEED not in config:
        raise UserError(f"{KEY}={printable(wanted)}: the configuration has no key {SEED}; expected one, or {KEY}=1")
    if isinstance(wanted, list):
        return tuple(wanted)
    first = config[SEED]
    if not _is_seed(first):
        raise UserError(
            f"{KEY}={wanted}: the seeds are counted from {SEED}={printable(first)}; expected a whole number there, or "
            "a list of seeds"
        )
    return tuple(range(first, first + wanted))


def check_suggested(overrides: Sequence[str]) -> None:
    """Check that a space, which may be a function of the user's, has not suggested the seed of a trial with several.

    Raises:
        UserError: if it has.
    """
    found = next((line for line in overrides if line.lstrip("+").partition("=")[0] == SEED), None)
    if found is not None:
        raise UserError(f"{KEY}: the space suggests {printable(found)}; expected one of the two")


def average(results: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean and the standard deviation of each metric that all seeds have.

    Args:
        results: the metrics of each seed, of two at least.

    Returns:
        metric → mean, and metric → standard deviation of the sample where it is finite.
    """
    shared = [name for name in results[0] if all(name in each for each in results)]
    pairs = {name: mean_and_std([each[name] for each in results]) for name in shared}
    means = {name: mean for name, (mean, _) in pairs.items()}
    return means, {name: std for name, (_, std) in pairs.items() if math.isfinite(std)}


def read_seeds(attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """Read the seeds from the attributes of a trial; none if it is one job."""
    found = attributes.get(SEEDS)
    return tuple(found) if isinstance(found, list) and all(map(_is_seed, found)) else ()


def has_seeds(trials: "Iterable[FrozenTrial]") -> bool:
    """Whether trials are trained with several seeds."""
    return any(SEEDS in trial.user_attrs for trial in trials)


def read_progress(attributes: Mapping[str, Any]) -> tuple[int, int] | None:
    """Read the place of the seed that a running trial has come to, from 1, and its number of steps.

    Returns:
        None for the first seed, whose steps are those of the trial.
    """
    found = attributes.get(SEED_STEP)
    return (found[0], found[1]) if isinstance(found, list) and len(found) == 2 and all(map(_is_seed, found)) else None


def read_spread(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Read metric → standard deviation from the attributes of a trial; empty if it has one seed."""
    found = attributes.get(SPREAD)
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(name): float(std) for name, std in pairs if is_number(std)}


def _is_seed(value: Any) -> bool:
    return is_integer(value) and value >= 0
