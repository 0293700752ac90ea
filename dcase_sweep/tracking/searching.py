"""Searches over all experiments of a store."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcase_sweep.tracking.stores import Store

#: Number of runs in a request.
_PAGE = 1000


def list_experiments(store: "Store") -> list[str]:
    """Return the IDs of all experiments of a store."""
    return [each.experiment_id for each in store.call(store.client.search_experiments)]


def search_runs(
    store: "Store", experiments: list[str], filter_string: str = "", *, limit: int | None = None
) -> list[Any]:
    """Return the runs of some experiments, the newest first.

    Args:
        store: the store.
        experiments: IDs of the experiments.
        filter_string: a filter in MLflow's syntax.
        limit: largest number of runs; None = all.

    Raises:
        MlflowException: for a filter that MLflow cannot read.
    """
    found: list[Any] = []
    token: str | None = None
    while experiments and (limit is None or len(found) < limit):
        count = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = store.call(
            lambda token=token, count=count: store.client.search_runs(  # type: ignore[misc]
                experiments,
                filter_string,
                max_results=count,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
        )
        found += page
        token = page.token
        if not token:
            break
    return found
