"""Validation of the settings of a search, before anything is read or written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dcase_sweep.sweep.launchers import MOST_PROCESSES, check_class, check_launcher, is_basic, is_fused
from dcase_sweep.sweep.optuna.seeds import check_fused, check_seeds
from dcase_sweep.sweep.optuna.signature import Objective
from dcase_sweep.sweep.outcomes import name_values
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import format_bytes, memory_bytes
from dcase_sweep.utils.names import check_name
from dcase_sweep.utils.numbers import is_integer, is_number
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.time_limit import parse_duration

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.sweeper import OptunaSweeper

#: Largest number of trials of a study. A larger journal takes minutes to read.
_MOST_TRIALS = 1_000_000
#: Range of the grace period in seconds. Clocks of machines differ, and a busy process may not run for a moment.
_SHORTEST_GRACE, _LONGEST_GRACE = 5, 86_400
#: The fewest trials that a sampler learns from.
_SHORTEST_HISTORY = 50
#: Memory of a worker that has only loaded a library such as PyTorch, without memory shared between processes.
_WORKER_BYTES = 256 * 2**20

#: The longest name of a study. With the number of a trial it must fit into the names of trackers and databases.
_LONGEST_NAME = 200


def check_inputs(sweeper: "OptunaSweeper", config: DictConfig) -> None:
    """Check the types and ranges of the values of ``hydra.sweeper``.

    Raises:
        UserError: for an invalid value, with the key, what was found and what is expected.
    """
    for name, value, most in (
        ("n_trials", sweeper.n_trials, _MOST_TRIALS),
        ("workers", sweeper.workers, MOST_PROCESSES),
    ):
        if not is_integer(value) or value < 1:
            raise UserError(f"hydra.sweeper.{name}={printable(value)}: expected a whole number of at least 1")
        if value > most:
            raise UserError(f"hydra.sweeper.{name}={printable(value)}: expected at most {most:,}")
    check_class(config)
    check_launcher(config)
    if is_fused(config):
        raise UserError(
            "hydra/launcher=fused: trains the jobs of a grid; a search has workers, hydra.sweeper.workers=2, and "
            "trains trials of one architecture together, hydra.sweeper.fused=8"
        )
    _check_memory(sweeper.workers, config)
    if not is_number(sweeper.max_failed) or not 0 <= sweeper.max_failed <= 1:
        raise UserError(f"hydra.sweeper.max_failed={printable(sweeper.max_failed)}: expected a fraction from 0 to 1")
    retries = sweeper.max_retries
    if retries is not None and (not is_integer(retries) or retries < 0):
        raise UserError(
            f"hydra.sweeper.max_retries={printable(retries)}: expected a whole number, 0 or more, or null for no limit"
        )
    if not is_number(sweeper.grace_period) or not _SHORTEST_GRACE <= sweeper.grace_period <= _LONGEST_GRACE:
        raise UserError(
            f"hydra.sweeper.grace_period={printable(sweeper.grace_period)}: expected seconds from {_SHORTEST_GRACE} to "
            f"{_LONGEST_GRACE:,}"
        )
    if sweeper.time_limit is not None:
        try:
            parse_duration(sweeper.time_limit)
        except ValueError as error:
            raise UserError(f"hydra.sweeper.time_limit={printable(sweeper.time_limit)}: {error}, or null") from None
    history = sweeper.sampler_history
    if history is not None and (not is_integer(history) or history < _SHORTEST_HISTORY):
        raise UserError(
            f"hydra.sweeper.sampler_history={printable(history)}: expected a whole number of at least "
            f"{_SHORTEST_HISTORY}, or null for all trials"
        )
    check_seeds(sweeper.seeds)
    check_fused(sweeper.fused)
    if not isinstance(sweeper.fresh, bool):
        raise UserError(f"hydra.sweeper.fresh={printable(sweeper.fresh)}: expected true or false")
    texts = ("study_name", "storage", "custom_search_space")
    for name, text in ((name, getattr(sweeper, name)) for name in texts):
        if text is not None and (isinstance(text, bool) or not isinstance(text, (str, int, float))):
            raise UserError(f"hydra.sweeper.{name}={printable(text)}: expected a text or null")
    if sweeper.storage is not None and not str(sweeper.storage).strip():
        raise UserError("hydra.sweeper.storage: empty; expected a file, a database's URL, or null for the default")
    check_mapping("hydra.sweeper.params", sweeper.params)
    check_expressions("hydra.sweeper.params", sweeper.params)
    check_mapping("hydra.sweeper.objective", sweeper.objective)
    check_limits("hydra.sweeper.constraints", sweeper.constraints)
    if not isinstance(sweeper.may_differ, list):
        raise UserError(f"hydra.sweeper.may_differ={printable(sweeper.may_differ)}: expected a list of keys")


def check_study_name(name: str) -> str:
    """Return the name of a study.

    Raises:
        UserError: if it is too long, or not a name in one line.
    """
    return check_name(name, "hydra.sweeper.study_name", _LONGEST_NAME)


def _check_memory(workers: int, config: DictConfig) -> None:
    """Check that the memory of this machine is sufficient for the number of workers."""
    memory, needed = memory_bytes(), workers * _WORKER_BYTES
    if is_basic(config) and memory is not None and needed > memory:
        raise UserError(
            f"hydra.sweeper.workers={workers}: {workers:,} processes take at least {format_bytes(needed)}; this "
            f"machine has {format_bytes(memory)} of memory; use fewer"
        )


def check_mapping(key: str, value: Any) -> None:
    """Check that a value is a mapping or null.

    Raises:
        UserError: if not, with the key.
    """
    if value is not None and not isinstance(value, dict):
        raise UserError(f"{key}={printable(value)}: expected keys with values, as in {{key: value}}")


def check_expressions(key: str, value: Mapping[str, Any]) -> None:
    """Check that all values can be expressions in Hydra's grammar.

    Raises:
        UserError: if not, with the key.
    """
    for name, text in value.items():
        if not isinstance(text, (str, int, float)) or isinstance(text, bool):
            found = "null" if text is None else printable(text)
            raise UserError(f"{key}.{printable(name)}={found}: expected choice(), range() or interval() as a text")


def check_limits(key: str, value: Any) -> None:
    """Check that all limits are numbers.

    Raises:
        UserError: if not, with the key.
    """
    check_mapping(key, value)
    for name, largest in (value or {}).items():
        if not is_number(largest):
            raise UserError(f"{key}.{printable(name)}={printable(largest)}: expected the largest number allowed")


def parse_direction(given: Any) -> Objective:
    """Return the objectives of a task function that returns unnamed numbers.

    Args:
        given: ``minimize``, ``maximize``, a list of these for several numbers, or None for ``minimize``.

    Raises:
        UserError: for anything else.
    """
    directions = ["minimize"] if given is None else given if isinstance(given, list) else [given]
    if not directions or any(each not in ("maximize", "minimize") for each in directions):
        raise UserError(
            f"hydra.sweeper.direction={printable(given)}: expected maximize or minimize, or a list of them for a task "
            "function that returns several numbers"
        )
    return Objective(tuple(name_values(len(directions))), tuple(directions))
