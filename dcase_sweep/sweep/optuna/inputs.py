"""What a search is asked for, checked before anything is read or written."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from dcase_sweep.sweep.launchers import MOST_PROCESSES, check_launcher, is_basic
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import format_bytes, memory_bytes
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.sweeper import OptunaSweeper

#: Trials of one study; a journal of more takes minutes to read.
_MOST_TRIALS = 1_000_000
#: What a process takes that has loaded PyTorch and nothing else, beside what it shares.
_WORKER_BYTES = 256 * 2**20
_PARTS = ("objective", "limits", "params", "blocks")


def check_inputs(sweeper: "OptunaSweeper", config: DictConfig) -> None:
    """Refuse values of ``hydra.sweeper`` that are of another kind, or that nothing could be done with.

    Raises:
        UserError: with the key, what was found and what is expected.
    """
    for name, value, most in (
        ("n_trials", sweeper.n_trials, _MOST_TRIALS),
        ("workers", sweeper.workers, MOST_PROCESSES),
    ):
        if not _is_whole(value) or value < 1:
            raise UserError(f"hydra.sweeper.{name}={printable(value)}: expected a whole number of at least 1")
        if value > most:
            raise UserError(f"hydra.sweeper.{name}={printable(value)}: expected at most {most:,}")
    check_launcher(config)
    _check_memory(sweeper.workers, config)
    if not _is_number(sweeper.max_failed) or not 0 <= sweeper.max_failed <= 1:
        raise UserError(f"hydra.sweeper.max_failed={printable(sweeper.max_failed)}: expected a share from 0 to 1")
    retries = sweeper.max_retries
    if retries is not None and (not _is_whole(retries) or retries < 0):
        raise UserError(
            f"hydra.sweeper.max_retries={printable(retries)}: expected a whole number from 0 on, or null for no limit"
        )
    if not isinstance(sweeper.fresh, bool):
        raise UserError(f"hydra.sweeper.fresh={printable(sweeper.fresh)}: expected true or false")
    for name, text in (("study_name", sweeper.study_name), ("storage", sweeper.storage)):
        if text is not None and (isinstance(text, bool) or not isinstance(text, (str, int, float))):
            raise UserError(f"hydra.sweeper.{name}={printable(text)}: expected a text or null")
    if sweeper.storage is not None and not str(sweeper.storage).strip():
        raise UserError("hydra.sweeper.storage: empty; expected a file, a database's URL, or null for the default")
    _check_parts(sweeper.wanted, sweeper.params)


def _check_memory(workers: int, config: DictConfig) -> None:
    """Refuse more workers on this machine than its memory holds."""
    memory, needed = memory_bytes(), workers * _WORKER_BYTES
    if is_basic(config) and memory is not None and needed > memory:
        raise UserError(
            f"hydra.sweeper.workers={workers}: {workers:,} processes take at least {format_bytes(needed)}; this "
            f"machine has {format_bytes(memory)} of memory; use fewer"
        )


def _check_parts(wanted: Any, params: Any) -> None:
    if not isinstance(wanted, dict):
        raise UserError(f"hydra.sweeper.search={printable(wanted)}: expected {', '.join(_PARTS)}")
    unknown = sorted(set(wanted) - set(_PARTS), key=str)
    if unknown:
        raise UserError(f"search.{printable(unknown[0])}: no such key; expected objective, limits, params or blocks")
    given = {"hydra.sweeper.params": params} | {f"search.{part}": wanted.get(part) for part in _PARTS}
    for name, value in given.items():
        if value is not None and not isinstance(value, dict):
            raise UserError(f"{name}={printable(value)}: expected keys with values, as in {{key: value}}")
    for name in ("hydra.sweeper.params", "search.params", "search.blocks"):
        for key, value in (given[name] or {}).items():
            if not isinstance(value, (str, int, float)) or isinstance(value, bool):
                raise UserError(
                    f"{name}.{printable(key)}={printable(value)}: expected choice(), range() or interval() as a text"
                )


def parse_limits(wanted: Mapping[str, Any]) -> dict[str, float]:
    """The limits as numbers; those that are null are lifted.

    Raises:
        UserError: for what is no positive number, or not known before training.
    """
    from dcase_sweep.sweep.optuna.limits import refuse_unknown

    limits = {name: value for name, value in wanted.items() if value is not None}
    for name, value in limits.items():
        if not _is_number(value) or not value > 0:
            raise UserError(
                f"search.limits.{name}={printable(value)}: expected a positive number, or null for no limit"
            )
    refuse_unknown(limits)
    return {name: float(value) for name, value in limits.items()}


def parse_objective(parser: OverridesParser, overrides: list[str], wanted: Mapping[str, str]) -> Mapping[str, str]:
    """What the search's file optimises; or what the command line does, which Hydra would add to the file's.

    Raises:
        UserError: for an objective that is not metric → direction.
    """
    for parsed in reversed(parser.parse_overrides(overrides)):
        if parsed.get_key_element().lstrip("+") == "hydra.sweeper.search.objective":
            typed: Any = parsed.value()
            if not isinstance(typed, dict) or not typed:
                raise UserError(
                    f"search.objective={printable(typed)}: expected {{METRIC: maximize}} or {{METRIC: minimize}}"
                )
            return {str(metric): str(direction) for metric, direction in typed.items()}
    return {str(metric): str(direction) for metric, direction in wanted.items()}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
