"""The metrics of an experiment that a comparison shows."""

from collections.abc import Container, Iterable, Iterator

from dcase_sweep.config import Experiment
from dcase_sweep.config.metrics import find_metric
from dcase_sweep.config.task import get_monitor, locate_task
from dcase_sweep.result import Column

#: Columns of all tasks.
COMMON = (
    Column("complexity/parameters", "parameters", digits=0, larger_is_better=False),
    # Shown only if pruning has set parameters to zero. Otherwise it would be equal to the previous column.
    Column(
        "complexity/nonzero_parameters",
        "non-zero",
        digits=0,
        unless_near="complexity/parameters",
        larger_is_better=False,
    ),
    Column("complexity/nonzero_kib_16bit", "KiB at 16 bit", digits=1, larger_is_better=False),
    Column("compression/accuracy_lost", "points lost", digits=1, larger_is_better=False),
    Column("energy/training_kwh", "training Wh", factor=1e3, digits=2, larger_is_better=False),
)


def list_columns(experiment: Experiment, metrics: Iterable[str]) -> tuple[Column, ...]:
    """List the metrics of the test clips, those of the best epoch, and those that all tasks have.

    Args:
        metrics: names of the run's metrics. An extra metric may have given several.
    """
    task = locate_task(experiment.task._target_)
    own = [column for column in task.columns if not column.metric.startswith("best/")]
    of_validation = [column for column in task.columns if column.metric.startswith("best/")]
    extra = _list_extra(experiment, metrics, {column.metric for column in own})
    best = f"best/{get_monitor(experiment).metric}"
    chosen = () if any(column.metric == best for column in task.columns) else (Column(best, _title(best)),)
    return (*own, *extra, *of_validation, *chosen, *COMMON)


def _list_extra(experiment: Experiment, metrics: Iterable[str], known: Container[str]) -> Iterator[Column]:
    """Yield a column for each value of the extra metrics on the test clips, in the order of the configuration."""
    values: dict[str, list[str]] = {name: [] for name in experiment.metrics}
    for metric in metrics:
        name = find_metric(metric, values)
        if name is not None and metric.startswith("test/") and metric not in known:
            values[name].append(metric)
    for name, found in values.items():
        # A metric gives either one value of its own name or several: `macro` does not give the task's `macro_f1`.
        exact = [metric for metric in found if metric.endswith(f"/{name}")]
        yield from (Column(metric, _title(metric)) for metric in exact or found)


def _title(metric: str) -> str:
    """Return the title of a metric: ``student macro f1`` of ``test/student/macro_f1``."""
    return metric.removeprefix("test/").removeprefix("best/").replace("/", " ").replace("_", " ")
