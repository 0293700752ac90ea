"""Runs of a store as a data frame."""

from typing import TYPE_CHECKING, Any

from dcase_sweep.tracking.searching import list_experiments, search_runs
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def runs_frame(store: Store, filter_string: str, limit: int) -> "pd.DataFrame":
    """Return the newest runs of all experiments of a store, one per row.

    The columns are ``run_id``, ``name``, ``status``, ``start_time`` (UTC), ``seconds``, then ``metrics.*`` and
    ``params.*``, named as in ``mlflow.search_runs``. Missing values are NaN or None.

    Args:
        filter_string: a filter in MLflow's syntax: ``metrics.`test/accuracy` > 0.4 and params.model = 'cnn5'``.
        limit: largest number of runs.

    Raises:
        UserError: in one line, for a filter that MLflow cannot read.
    """
    import pandas as pd
    from mlflow.exceptions import MlflowException

    experiments = list_experiments(store)
    try:
        found = search_runs(store, experiments, filter_string, limit=limit)
    except MlflowException as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"filter={filter_string!r}: {reason}; expected MLflow's language: metrics.`test/accuracy` > 0.4"
        ) from None
    first = ["run_id", "name", "status", "start_time", "seconds"]
    frame = pd.DataFrame([_row(run) for run in found], columns=None if found else first)
    later = sorted(name for name in frame.columns if name not in first)
    return frame[first + later]


def _row(run: Any) -> dict[str, Any]:
    import pandas as pd

    info = run.info
    seconds = None if info.end_time is None else (info.end_time - info.start_time) / 1e3
    return {
        "run_id": info.run_id,
        "name": info.run_name,
        "status": info.status.lower(),
        "start_time": pd.Timestamp(info.start_time, unit="ms", tz="UTC"),
        "seconds": seconds,
        **{f"metrics.{name}": value for name, value in run.data.metrics.items()},
        **{f"params.{name}": value for name, value in run.data.params.items()},
    }
