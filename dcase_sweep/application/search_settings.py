"""The settings under ``search``: objective, limits, parameters and blocks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from dcase_sweep.sweep.optuna.inputs import check_expressions, check_mapping
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.numbers import is_number
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.signature import Objective

#: Prefix of all metrics that can be limited.
_METRICS = "complexity/"
_PARTS = ("objective", "limits", "params", "blocks")


def check_search(wanted: Any) -> None:
    """Check that the parts of the settings are known and of the right type.

    Raises:
        UserError: with the key, what was found and what is expected.
    """
    if not isinstance(wanted, dict):
        raise UserError(f"hydra.sweeper.search={printable(wanted)}: expected {', '.join(_PARTS)}")
    unknown = sorted(set(wanted) - set(_PARTS), key=str)
    if unknown:
        raise UserError(f"search.{printable(unknown[0])}: no such key; expected objective, limits, params or blocks")
    for part in _PARTS:
        check_mapping(f"search.{part}", wanted.get(part))
    for part in ("params", "blocks"):
        check_expressions(f"search.{part}", wanted.get(part) or {})


def parse_limits(wanted: Mapping[str, Any]) -> dict[str, float]:
    """Convert the limits to numbers, by the names of a run's metrics. Null removes a limit.

    A name is that of a metric of the complexity: ``size_kib_16bit`` or, as in earlier versions,
    ``complexity/size_kib_16bit``; ``size_kib`` is the size at 16 bits. If a limit has two spellings, the later one
    applies; the command line comes after the file.

    Raises:
        UserError: for a limit that is not a positive number, or on a metric that is not known before training.
    """
    from dcase_sweep.application.limits import check_limit_names

    given = {name_limit(str(name)): value for name, value in wanted.items()}
    limits = {name: value for name, value in given.items() if value is not None}
    for name, value in limits.items():
        if not is_number(value) or not value > 0:
            raise UserError(
                f"search.limits.{short_name(name)}={printable(value)}: expected a positive number, or null for no limit"
            )
    check_limit_names(limits)
    return {name: float(value) for name, value in limits.items()}


def name_limit(name: str) -> str:
    """The metric of a run that a limit is on: ``complexity/size_kib_16bit`` for ``size_kib``."""
    from dcase_sweep.application.limits import SHORT

    short = name.removeprefix(_METRICS)
    return _METRICS + SHORT.get(short, short)


def short_name(metric: str) -> str:
    """A limit's name in a file and on the command line, where a slash would mean a group."""
    return metric.removeprefix(_METRICS)


def parse_objective(parser: OverridesParser, overrides: list[str], wanted: Mapping[str, str]) -> Mapping[str, str]:
    """Return the objective of the search file, or that of the command line, which Hydra would merge with the file's.

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


def find_pruning_metric(objective: "Objective") -> str | None:
    """Return the metric of an epoch that is used for pruning; None if there is none, or several objectives.

    ``best/X`` is the metric ``X`` of the best epoch.
    """
    if not objective.is_single or not objective.metrics[0].startswith("best/"):
        return None
    return objective.metrics[0].removeprefix("best/")
