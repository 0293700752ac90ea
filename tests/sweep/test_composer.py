"""The fast composition of a job's configuration, compared with Hydra's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins import basic_launcher
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from dcase_sweep.config.folders import conf_folder
from dcase_sweep.sweep.composer import Composer


def make_composer(words: Sequence[str], fixed: Sequence[str] = ()) -> Composer:
    Plugins.instance()  # as on the command line, where Hydra has imported its plugins a second time
    loader = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    config = loader.load_configuration("config", list(words), RunMode.MULTIRUN)
    callbacks: Any = None
    return Composer(HydraContext(loader, callbacks), config, fixed)


@pytest.fixture(scope="module")
def composer() -> Composer:
    return make_composer(["hydra/sweeper=optuna"], ["data=tau2020", "training.epochs=3"])


@pytest.fixture(scope="module")
def grid() -> Composer:
    return make_composer(["hydra.sweep.subdir=${hydra.job.override_dirname}"])


def compose_slowly(composer: Composer, overrides: Sequence[str]) -> Any:
    """Return what Hydra composes from all files."""
    return composer.context.config_loader.load_sweep_config(composer.config, [*composer.fixed, *overrides])


def everything(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False)


JOBS = (
    ["model.dropout=0.2", "++hardware.threads=1", "model.blocks.1.pool=[4,5]"],
    ["model.blocks=[{filters:8,kernel:[7,7],pool:null,dropout:${model.dropout}}]"],
    ["model=cnn5", "model.units=8"],
    ["model.units=8", "model=cnn5", "seed=3"],
    ["optimizer.lr=1e-3", "model=crnn_meanteacher", "task='4'", "optimizer=adamw"],
    ["+tracking.tags.note='a, b=c'", "seed=1", "~augmentation"],
    ["augmentation=[mixup]", "+metrics=[macro_f1]"],
    ["model={units:8}", "model.units=9"],
    ["seed=1", "seed=2"],
    ["hydra.job.name=other", "seed=1"],
)


@pytest.mark.parametrize("overrides", JOBS, ids=" ".join)
@pytest.mark.parametrize("which", ["composer", "grid"])
def test_both_ways_give_the_same(which: str, overrides: list[str], request: pytest.FixtureRequest) -> None:
    chosen: Composer = request.getfixturevalue(which)

    composed = chosen.compose(overrides)

    assert everything(composed) == everything(compose_slowly(chosen, overrides))


def test_the_name_of_a_folder_has_only_what_was_typed(grid: Composer) -> None:
    composed = grid.compose(["seed=1", "model=cnn4", "++tracking.parent=0f", "++tracking.varying=['seed']"])

    assert composed.hydra.sweep.subdir == "model=cnn4,seed=1"


def test_blocks_that_occur_again_are_those_that_hydra_composes(composer: Composer) -> None:
    block = "{filters:8,kernel:[7,7],pool:null,dropout:${model.dropout}}"
    for rate in ("0.1", "0.2", "0.3"):
        overrides = [f"model.dropout={rate}", f"model.blocks=[{block},{block}]"]
        composed = composer.compose(overrides)
        assert everything(composed) == everything(compose_slowly(composer, overrides))
        assert [each.dropout for each in composed.model.blocks] == [float(rate)] * 2
        composed.model.blocks[0].filters = 9


def test_a_list_in_the_place_of_something_else_is_set_as_by_hydra(composer: Composer) -> None:
    for overrides in (
        ["model.units=[1,2]"],
        ["model.blocks.1.pool=[3,3]"],
        ["+tracking.tags.note=[1]"],
        ["++model.blocks=[4]"],
    ):
        assert everything(composer.compose(overrides)) == everything(compose_slowly(composer, overrides))


def test_a_job_does_not_change_the_next_one(grid: Composer) -> None:
    first = grid.compose(["seed=1", "+tracking.tags.note=a"])
    first.model.units = 1

    assert everything(grid.compose(["seed=2"])) == everything(compose_slowly(grid, ["seed=2"]))


def test_jobs_with_the_same_files_are_composed_from_them_once(grid: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    grid.compose(["model=cnn4", "seed=0"])
    read: list[Any] = []
    monkeypatch.setattr(grid.context.config_loader, "load_sweep_config", lambda *given: read.append(given))

    for seed in range(3):
        grid.compose(["model=cnn4", f"seed={seed}"])

    assert read == []


@pytest.mark.parametrize("overrides", [["model.dropot=0.1"], ["model@other=cnn4"], ["model=cnn99"], ["~seed=9"]])
def test_what_hydra_refuses_is_refused(grid: Composer, overrides: list[str]) -> None:
    with pytest.raises(HydraException) as expected:
        compose_slowly(grid, overrides)

    with pytest.raises(HydraException) as found:
        grid.compose(overrides)

    assert str(found.value) == str(expected.value)


def test_the_users_own_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("defaults: [cnn4]\nunits: 7\n")
    own = make_composer([f"hydra.searchpath=[{tmp_path}]"])

    assert everything(own.compose(["model=mine", "seed=1"])) == everything(
        compose_slowly(own, ["model=mine", "seed=1"])
    )


def test_classes_of_plugins_that_hydra_has_imported_twice_are_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    composer = make_composer(["hydra/sweeper=optuna"])
    kept = basic_launcher.BasicLauncherConf  # under no name of this module, by which pickle would find its methods
    monkeypatch.setattr(basic_launcher, "BasicLauncherConf", type("BasicLauncherConf", (), {}))
    composer.config.hydra.launcher = OmegaConf.structured(kept)

    first, second = (composer.compose([f"seed={seed}"]) for seed in (1, 2))

    assert (first.seed, second.seed) == (1, 2)
