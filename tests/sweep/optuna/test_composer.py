"""The fast composition of a trial's configuration, compared with Hydra's own."""

from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode

from dcase_sweep.config.folders import conf_folder
from dcase_sweep.sweep.optuna.composer import Composer


@pytest.fixture(scope="module")
def composer() -> Composer:
    loader = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    config = loader.load_configuration("config", ["hydra/sweeper=optuna"], RunMode.MULTIRUN)
    callbacks: Any = None
    return Composer(HydraContext(loader, callbacks), config, ["data=tau2020", "training.epochs=3"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.dropout=0.2", "++hardware.threads=1", "model.blocks.1.pool=[4,5]"],
        ["model.blocks=[{filters:8,kernel:[7,7],pool:null,dropout:${model.dropout}}]"],
        ["model=cnn5", "model.units=8"],
    ],
)
def test_both_ways_give_the_same(composer: Composer, overrides: list[str]) -> None:
    expected = composer.context.config_loader.load_sweep_config(composer.config, [*composer.fixed, *overrides])

    composed = composer.compose(overrides)

    for key in [key for key in expected if key != "hydra"]:
        assert composed[key] == expected[key]
    assert list(composed.hydra.overrides.task) == list(expected.hydra.overrides.task)


def test_a_misspelt_key_is_rejected(composer: Composer) -> None:
    with pytest.raises(HydraException, match="dropot"):
        composer.compose(["model.dropot=0.1"])
