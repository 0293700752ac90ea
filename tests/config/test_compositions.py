"""Compositions that the test suite keeps are those of Hydra."""

from collections.abc import Sequence

import pytest
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.initialize import initialize_config_dir
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.folders import conf_folder
from tests import compositions


def composed(overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return GlobalHydra.instance().config_loader().load_configuration("config", [*overrides], run_mode=mode)


def composed_by_hydra(overrides: Sequence[str], mode: RunMode) -> DictConfig:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults_list, "_create_defaults_list", compositions._list)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compositions._merge)
        return composed(overrides, mode)


@pytest.mark.parametrize("mode", list(RunMode))
@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3", "model.units=7"],
        ["task='4'", "data=desed", "model=crnn_meanteacher", "model.filters=[4,8]", "+new.key=1"],
        ["logger=[mlflow,csv]", "~model.units", "hydra/sweeper=optuna"],
        ["+experiment=task1a_baseline", "seed=3"],
    ],
    ids=["values", "task 4", "lists", "experiment"],
)
def test_a_kept_one_is_that_of_hydra(overrides: list[str], mode: RunMode) -> None:
    from dcase_sweep.config.compose import register_experiments, restored_config_source

    with restored_config_source():
        register_experiments()
        expected = composed_by_hydra(overrides, mode)
        first, again = composed(overrides, mode), composed(overrides, mode)

    text = OmegaConf.to_yaml(expected)
    assert OmegaConf.to_yaml(first) == text
    assert OmegaConf.to_yaml(again) == text
    assert again is not first
    for config in (expected, again):
        assert OmegaConf.is_struct(config)
        with pytest.raises(AttributeError):
            config.task.nothing_like_it = 1


def test_what_is_changed_is_a_copy() -> None:
    composed(["seed=0"]).model.units = 99

    assert composed(["seed=0"]).model.units != 99


def test_a_wrong_choice_is_found_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ConfigCompositionException):
            composed(["model=nothing_like_it"])
