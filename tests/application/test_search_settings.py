"""The search part of a search's settings."""

import pytest

from dcase_sweep.application.search_settings import check_search, find_pruning_metric, parse_limits
from dcase_sweep.sweep.optuna.signature import Objective
from dcase_sweep.utils.errors import UserError


def test_a_search_is_pruned_by_the_metric_behind_best() -> None:
    assert find_pruning_metric(Objective(("best/validation/accuracy",), ("maximize",))) == "validation/accuracy"
    assert find_pruning_metric(Objective(("test/accuracy",), ("maximize",))) is None
    assert find_pruning_metric(Objective(("best/a", "complexity/parameters"), ("maximize", "minimize"))) is None


def test_a_limit_that_is_null_is_lifted() -> None:
    assert parse_limits({"complexity/parameters": None, "complexity/size_kib_16bit": 128}) == {
        "complexity/size_kib_16bit": 128.0
    }


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"metrics": {}}, r"search.metrics: no such key; expected objective, limits, params or blocks"),
        ({"params": [1]}, r"search.params=\[1\]: expected keys with values"),
        ({"blocks": {"filters": True}}, r"search.blocks.filters=True: expected choice\(\), range\(\) or interval"),
    ],
)
def test_parts_of_another_kind_are_refused(wanted: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_search(wanted)
