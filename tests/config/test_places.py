"""Output folders, and settings that Hydra would ignore silently."""

import os
from pathlib import Path

import pytest

from dcase_sweep.config import check_written
from dcase_sweep.config.arguments import check_supported
from dcase_sweep.config.command_line import quote_choices
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.demo.generation import check_demo_root
from dcase_sweep.demo.scenes import README, generate_scenes
from dcase_sweep.demo.soundscapes import generate_soundscapes
from dcase_sweep.demo.tau import DemoScenes
from dcase_sweep.utils.errors import UserError
from tests.composing import composed


@pytest.mark.parametrize("path", ["/", "/etc", "/etc/dcase", "/usr", "/usr/lib/x", "/proc/self", "/dev", "/etc/../bin"])
def test_folders_of_the_system_are_rejected(path: str) -> None:
    with pytest.raises(UserError, match=rf"^store.root={path}: /.* is a folder of the operating system"):
        check_written("store.root", path)


@pytest.mark.parametrize("path", ["/dev/shm/features", "/usr/src/app/mlruns", "/tmp/x", "/home/me", "mlruns", "~/x"])
def test_folders_of_ones_own_are_not(path: str) -> None:
    check_written("store.root", path)


def test_a_link_into_the_system_is_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")

    with pytest.raises(UserError, match="/etc is a folder of the operating system"):
        check_written("tracking.folder", tmp_path / "link" / "runs")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("store.root=", "store.root='': empty"),
        ("store.root='  '", "store.root='  ': empty"),
        ("store.root=/etc", "operating system"),
        ("tracking.folder=/usr", "operating system"),
        ("tracking.uri=sqlite:////etc/runs.db", "operating system"),
        ("tracking.experiment=", "tracking.experiment='': empty"),
        ("tracking.run_name=", "tracking.run_name='': empty"),
        ("data.root=", "data.root='': empty"),
        ("data.root=/usr", "operating system"),
        ("data.name=", "data.name='': empty"),
        ("resume=", "resume='': empty"),
        ("task.title=", "task.title='': empty"),
    ],
)
def test_empty_texts_and_system_folders_are_rejected(override: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        composed(override)


def test_recordings_are_only_read_and_may_be_anywhere() -> None:
    assert composed("data=tau2020", "data.root=/usr/share/tau").data.root == "/usr/share/tau"
    assert composed("+tracking.tags.a=''").tracking.tags == {"a": ""}


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("model=[cnn4,cnn5]", "expected model=NAME, or with -m model=NAME,NAME for each"),
        ("model=cnn4,[cnn4,cnn5]", "not one choice"),
        ("+experiment=[a,b]", "not one choice"),
        ("hydra/sweeper/sampler=[tpe,gp]", "not one choice"),
        ("model=", "model=: empty"),
        ("hydra.sweep.dir=''", "empty"),
        ("hydra.sweeper.storage=", "empty"),
        ("hydra.run.dir=/etc/x", "operating system"),
        ("--experimental-rerun=x", "would run code"),
        ("--exp", "would run code"),
    ],
)
def test_arguments_that_hydra_would_take(argument: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_supported([argument])


def test_ordinary_arguments_pass() -> None:
    check_supported(["-m", "model=cnn4,cnn5", "model.blocks.1.pool=[4,4]", "hydra.run.dir=outputs/${now:%Y}", "--cfg"])
    assert quote_choices(["model=4,cnn5", "+experiment=1.5"], SearchPath()) == ["model='4',cnn5", "+experiment='1.5'"]


def test_the_demo_of_the_cache_is_beside_recordings_of_other_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCASE_SWEEP_CACHE", str(tmp_path))
    (tmp_path / "demo/tones").mkdir(parents=True)

    check_demo_root(tmp_path / "demo")


def test_the_demo_takes_a_new_or_empty_folder_or_its_own(tmp_path: Path) -> None:
    for name in ("scenes-300-180-2021", "scenes-300-180-2021.lock", "soundscapes-1-2-3", ".DS_Store"):
        (tmp_path / name).mkdir()
    check_demo_root(tmp_path)
    check_demo_root(tmp_path / "new")

    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(UserError, match=r"holds 'thesis\.txt', which the demo generator did not make"):
        DemoScenes(name="demo", root=str(tmp_path)).prepare(lambda done, total: None)
    with pytest.raises(UserError, match="a file; expected a folder"):
        check_demo_root(tmp_path / "thesis.txt")
    assert not (tmp_path / "scenes-300-180-2021" / "README.txt").exists()


@pytest.mark.parametrize("generate", [generate_scenes, generate_soundscapes])
@pytest.mark.parametrize("marker", ["{}", '{"complete": false, "parameters": {}}', "[" * 10_000, None])
def test_folders_with_files_of_others_are_not_changed(generate: object, marker: str | None, tmp_path: Path) -> None:
    assert callable(generate)
    mine = [tmp_path / "audio/airport-lyon-1-1-a.wav", tmp_path / "meta.csv", tmp_path / "audio/weak/1.wav"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    if marker is not None:
        (tmp_path / "generator.json").write_text(marker)

    with pytest.raises(UserError, match="contains files that were not generated"):
        generate(tmp_path)

    assert all(path.read_text() == "mine" for path in mine)
    assert not (tmp_path / "README.txt").exists()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/README.txt").write_text(README)
    (tmp_path / "mine").mkdir()
    (tmp_path / "demo/audio").symlink_to(tmp_path / "mine")

    with pytest.raises(UserError, match=r"demo/audio: a link to .*/mine, where the demo generator would write"):
        generate_scenes(tmp_path / "demo", train_clips=20, test_clips=10)
    assert os.listdir(tmp_path / "mine") == []


@pytest.mark.parametrize("setting", ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra/launcher=joblib"])
def test_settings_of_a_sweep_are_rejected_without_one(setting: str) -> None:
    check_supported(["-m", setting])
    check_supported(["search=scene_cnn", setting])
    check_supported(["--cfg", "hydra", setting])
    with pytest.raises(UserError, match=r"no effect on a single run; add -m"):
        check_supported([setting])
