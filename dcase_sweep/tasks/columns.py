"""The metrics of an experiment that a comparison shows."""

from dcase_sweep.config import Experiment
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


def list_columns(experiment: Experiment) -> tuple[Column, ...]:
    """List the metrics of the test clips, those of the best epoch, and those that all tasks have."""
    task = locate_task(experiment.task._target_)
    own = [column for column in task.columns if not column.metric.startswith("best/")]
    of_validation = [column for column in task.columns if column.metric.startswith("best/")]
    extra = [Column(f"test/{name}", _title(name)) for name in experiment.metrics]
    best = f"best/{get_monitor(experiment).metric}"
    chosen = () if any(column.metric == best for column in task.columns) else (Column(best, _title(best)),)
    return (*own, *extra, *of_validation, *chosen, *COMMON)


def _title(metric: str) -> str:
    return metric.rpartition("/")[2].replace("_", " ")
