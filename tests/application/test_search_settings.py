"""The settings of a search."""

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir

from dcase_sweep.application.search_settings import check_search, find_pruning_metric, parse_limits
from dcase_sweep.config.command_line import place_limits
from dcase_sweep.config.folders import conf_folder
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


def test_names_of_limits_have_no_slash_and_the_earlier_ones_are_understood() -> None:
    assert parse_limits({"size_kib_16bit": 128, "mmac_per_clip": None, "size_kib": 64}) == {
        "complexity/size_kib_16bit": 64.0
    }
    assert parse_limits({"complexity/size_kib_16bit": 128, "size_kib_16bit": None}) == {}
    with pytest.raises(UserError, match=r"^search.limits.parameters=-1: expected a positive number"):
        parse_limits({"complexity/parameters": -1})
    with pytest.raises(
        UserError, match=r"^search.limits.weight: not known before training; expected one of parameters, "
    ):
        parse_limits({"weight": 1})
    with pytest.raises(UserError, match=r"^search.limits.size_kb: .*; did you mean search.limits.size_kib\? exp"):
        parse_limits({"size_kb": 64})


@pytest.mark.parametrize(
    "word",
    [
        "search.limits.size_kib=64",
        "hydra.sweeper.search.limits.complexity/size_kib_16bit=64",
        "hydra.sweeper.search.limits={complexity/size_kib_16bit:64}",
        "+search.limits={size_kib:64}",
    ],
)
def test_one_limit_is_set_on_the_command_line(word: str) -> None:
    typed = ["-m", "search=scene_cnn", word]

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = compose("config", place_limits(typed)[1:], return_hydra_config=True)

    assert parse_limits(composed.hydra.sweeper.search.limits) == {"complexity/size_kib_16bit": 64.0}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"metrics": {}}, r"search.metrics: no such key; expected objective, limits, params or blocks"),
        ({"params": [1]}, r"search.params=\[1\]: expected keys with values"),
        ({"blocks": {"filters": None}}, r"search.blocks.filters=null: expected choice\(\), range\(\) or interval"),
        ({"blocks": {"filters": True}}, r"search.blocks.filters=True: expected choice\(\), range\(\) or interval"),
    ],
)
def test_parts_of_another_kind_are_rejected(wanted: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_search(wanted)
