"""The outcome of a finished experiment in the form that a sweep uses."""

from collections.abc import Mapping, Sequence

from dcase_sweep.sweep.comparison import Column
from dcase_sweep.sweep.outcomes import Outcome

#: Metrics with the seconds of training and evaluation; the rest of a job's time is overhead of the sweep.
_WORK = ("time/training_seconds", "time/evaluation_seconds")


def make_outcome(
    metrics: Mapping[str, float],
    note: str | None,
    seconds: float,
    columns: Sequence[Column],
    folder: str | None = None,
) -> Outcome:
    """Create the outcome of a finished experiment from the metrics of its run."""
    listed = metrics.get("test/clips_listed", 0.0)
    return Outcome(
        "finished",
        metrics,
        note=note,
        columns=tuple(columns),
        coverage=(metrics.get("test/clips_scored", 0.0), listed) if listed else None,
        kept={column.metric: metrics[column.metric] for column in columns if column.metric in metrics},
        seconds=seconds,
        work_seconds=sum(metrics.get(name, 0.0) for name in _WORK),
        folder=folder,
    )
