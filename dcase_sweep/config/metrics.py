"""The group ``metrics``: metrics in addition to those of the task, each a class or a function by its full name."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial, update_wrapper
from typing import Any

from dcase_sweep.config.classes import locate
from dcase_sweep.config.instantiate import make_objects
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.signatures import PARTIAL, TARGET, check_keys, read_signature
from dcase_sweep.config.tensor_metrics import AccumulatedMetric, TensorFunction, accumulates, takes_tensors
from dcase_sweep.utils.errors import UserError, is_out_of_memory
from dcase_sweep.utils.failures import describe_failure
from dcase_sweep.utils.text import printable

_EXPECTED = "expected a _target_ that names a class or a function of scores and targets, and its arguments"
#: Valid names of metrics. They become part of the metric's name in MLflow.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def build_metrics(experiment: Experiment) -> dict[str, Any]:
    """Build the extra metrics of an experiment by name (`evaluation.metrics.Metric`).

    A class is instantiated with the arguments of its entry. A function gets them with each call, after scores and
    targets. Metrics of torchmetrics and functions of tensors are called with tensors.

    Raises:
        UserError: in one line with the key, for something that is not a metric, and for arguments that it does not
            accept.
    """
    return {name: _build(f"metrics.{name}", entry) for name, entry in experiment.metrics.items()}


def check_metrics(experiment: Experiment) -> None:
    """Check that metrics can be built; see `build_metrics`."""
    for name in experiment.metrics:
        if not _NAME.fullmatch(name):
            raise UserError(f"metrics.{printable(name, 80)}: expected a name of letters, digits, _, - and .")
    build_metrics(experiment)


def _build(key: str, entry: Any) -> Callable[..., Any]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get(TARGET), str):
        raise UserError(f"{key}={printable(entry, 80)}: {_EXPECTED}")
    target = locate(f"{key}.{TARGET}", entry[TARGET])
    if not callable(target):
        raise UserError(f"{key}.{TARGET}={entry[TARGET]}: a {type(target).__name__}; {_EXPECTED}")
    is_class = isinstance(target, type)
    signature = read_signature(target)
    if not is_class:  # scores and targets come first
        signature = read_signature(target, frozenset(list(signature.arguments)[:2]))
    words = {name: value for name, value in entry.items() if name not in (TARGET, PARTIAL)}
    check_keys(f"{key}.", words, signature)
    missing = [name for name in signature.required if name not in words]
    if missing:
        raise UserError(f"{key}.{missing[0]}: no value; expected one for {entry[TARGET]}")
    arguments = {name: make_objects(f"{key}.{name}", value) for name, value in words.items()}
    if not is_class:
        if takes_tensors(read_signature(target)):
            return TensorFunction(target, arguments)
        return update_wrapper(partial(target, **arguments), target)
    try:
        metric = target(**arguments)
    except Exception as error:  # a user's class can raise any error
        if isinstance(error, UserError) or is_out_of_memory(error):
            raise
        if str(error).partition("=")[0] in words:
            raise UserError(f"{key}.{str(error).splitlines()[0]}") from None
        raise UserError(f"{key}: {describe_failure(error, entry[TARGET])}") from None
    if accumulates(metric):
        return AccumulatedMetric(metric)
    if not callable(metric):
        raise UserError(f"{key}.{TARGET}={entry[TARGET]}: cannot be called with scores and targets; {_EXPECTED}")
    return metric


def find_metric(value: str, names: Iterable[str]) -> str | None:
    """Return which of the extra metrics gives a value: ``worst`` for ``test/worst_recall``; None if none of them does.

    Args:
        value: name of the value, as `dcase_sweep.evaluation.metrics.compute_metrics` makes it.
        names: names of the metrics in the configuration.
    """
    last = value.rpartition("/")[2]
    found = [name for name in names if last == name or last.startswith(f"{name}_")]
    return max(found, key=len, default=None)
