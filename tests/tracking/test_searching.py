"""Searches over all experiments of a store."""

from types import SimpleNamespace
from typing import Any

import pytest

from dcase_sweep.tracking.searching import list_experiments, search_runs


class Page(list[int]):
    """Some runs, and the token of the next page."""

    def __init__(self, runs: range, token: str | None) -> None:
        super().__init__(runs)
        self.token = token


class Client:
    """A store of 2,500 runs in two experiments."""

    def search_experiments(self) -> list[Any]:
        return [SimpleNamespace(experiment_id="1"), SimpleNamespace(experiment_id="2")]

    def search_runs(self, experiments: list[str], filter_string: str, *, max_results: int, **words: Any) -> Page:
        assert experiments == ["1", "2"]
        start = int(words["page_token"] or 0)
        stop = min(start + max_results, 2500)
        return Page(range(start, stop), str(stop) if stop < 2500 else None)


@pytest.fixture
def store() -> Any:
    return SimpleNamespace(client=Client(), call=lambda function: function())


@pytest.mark.parametrize(("limit", "found"), [(None, 2500), (1, 1), (1000, 1000), (1001, 1001), (9999, 2500)])
def test_all_pages_are_read_up_to_the_limit(store: Any, limit: int | None, found: int) -> None:
    assert search_runs(store, list_experiments(store), limit=limit) == list(range(found))


def test_a_store_without_experiments_has_no_runs(store: Any) -> None:
    assert search_runs(store, []) == []
