"""The user's own folders of configuration files."""

import sys
from importlib.machinery import ModuleSpec, NamespaceLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra import compose
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.initialize import initialize_config_dir
from hydra.plugins.search_path_plugin import SearchPathPlugin

from dcase_sweep.config.command_line import quote_choices, repeat_command, with_model_of_task
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.hints import explain
from dcase_sweep.config.search_path import SearchPath, named_in_folder
from dcase_sweep.utils.errors import UserError

TASK = "# @package _global_\ndefaults:\n  - 1a\n\ntask:\n  name: {name}\n"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a model, two tasks and a group of its own."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "model/tiny.yaml": "defaults: [baseline_cnn]\nunits: 8\n",
        "task/2023.yaml": TASK.format(name="'2023'") + "  model: tiny\n",
        "task/heir.yaml": "# @package _global_\ndefaults:\n  - '2023'\n",
        "task/1a.yaml": "task: {}\n",
    }.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    return tmp_path / "conf"


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", "conf", "model=tiny"],
        ["--config-dir=conf"],
        ["-cd", "conf"],
        ["--config-d", "conf"],
        ["hydra.searchpath=[conf]"],
        ["+hydra.searchpath=['file://{here}/conf']"],
    ],
)
def test_both_ways_to_name_a_folder_are_read(words: list[str], conf: Path) -> None:
    path = SearchPath.of_arguments([word.format(here=conf.parent) for word in words])

    path.check()
    assert path.find("model", "tiny") in (Path("conf/model/tiny.yaml"), conf / "model/tiny.yaml")
    assert path.find("model", "cnn4") == conf_folder() / "model/cnn4.yaml"
    assert {"tiny", "cnn4"} <= set(path.choices("model"))
    assert path.has_group("task")
    assert not path.has_group("seed")


def test_folders_of_plugins_and_dataclasses_are_searched(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            search_path.append("mine", f"file://{conf}")

    found = Plugins.instance().plugin_type_to_subclass_list
    monkeypatch.setitem(found, SearchPathPlugin, [*found[SearchPathPlugin], Mine])
    monkeypatch.setattr(ConfigStore.instance(), "repo", {"model": {"typed.yaml": None}, "own": {"some.yaml": None}})
    path = SearchPath()

    assert with_model_of_task(quote_choices(["task=2023"], path), path) == ["task='2023'", "model=tiny"]
    assert {"tiny", "typed", "cnn4"} <= set(path.choices("model"))
    assert path.choices("own") == ["some"]
    assert path.has_group("own")
    assert not path.overrides, "they are found without being named"


def test_a_package_without_folders_has_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable installation by setuptools adds the name of a finder to the path of a namespace package."""
    package = ModuleType("hooked")
    package.__spec__ = ModuleSpec("hooked", NamespaceLoader("hooked", ["finder.__path_hook__"], lambda *_: None))
    package.__spec__.submodule_search_locations = ["finder.__path_hook__"]
    monkeypatch.setitem(sys.modules, "hooked", package)

    assert SearchPath(None, ("pkg://hooked.conf",)).own == []


def test_a_folder_that_is_not_there_is_rejected(conf: Path) -> None:
    with pytest.raises(UserError, match="--config-dir nowhere: no such folder"):
        SearchPath("nowhere").check()
    with pytest.raises(UserError, match=r"hydra\.searchpath nowhere: no such folder"):
        compose_experiments(["hydra.searchpath=[conf,nowhere]"])


def test_a_package_of_configuration_files_is_found() -> None:
    path = SearchPath(None, ("pkg://hydra.conf",))

    assert path.find("hydra/help", "default") is not None
    assert path.words == ["hydra.searchpath=[pkg://hydra.conf]"]


def test_files_that_the_package_has_too_are_named(conf: Path) -> None:
    assert list(SearchPath("conf").hidden()) == [Path("conf/task/1a.yaml")]


@pytest.mark.parametrize("words", [["hydra.searchpath=[conf]"], []])
def test_experiments_are_composed_of_them(words: list[str], conf: Path) -> None:
    (found,) = compose_experiments(["model=tiny", *words], None if words else conf)

    assert (found.name.split()[0], found.experiment.model.units) == ("tiny", 8)


@pytest.mark.parametrize("task", ["2023", "heir"])
def test_the_model_that_ones_own_task_names_is_chosen(task: str, conf: Path) -> None:
    path = SearchPath("conf")
    words = quote_choices([f"task={task}", "seed=1"], path)

    assert with_model_of_task(words, path) == [words[0], "model=tiny", "seed=1"]
    (found,) = compose_experiments([f"task={task}", "data=tau2020", "data.root=."], "conf")
    assert (found.experiment.task.name, found.experiment.model.units) == ("2023", 8)


def test_the_nearest_key_is_that_of_ones_own_files(conf: Path) -> None:
    (conf / "model/own.yaml").write_text("_target_: own.Net\ngain_of_own: 1\n")

    for words in (["--config-dir", "conf"], ["hydra.searchpath=[conf]"]):
        line = explain(
            ConfigCompositionException("Could not override 'model.gain_of_on'."), [*words, "model=own", "data=tau2020"]
        )
        assert line == "model.gain_of_on: no such key; did you mean model.gain_of_own?"


def settings(*overrides: str) -> Any:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True).hydra


def test_a_command_to_repeat_finds_the_same_files(conf: Path) -> None:
    composed = settings("hydra.searchpath=[conf]", "hydra.sweeper.skip_finished=true", "model=tiny")

    assert repeat_command(composed, ["model=tiny"]) == ("python -m dcase_sweep 'hydra.searchpath=[conf]' model=tiny")
    assert repeat_command(composed, ["model=tiny,cnn4"], is_sweep=True) == (
        "python -m dcase_sweep -m 'hydra.searchpath=[conf]' hydra.sweeper.skip_finished=true model=tiny,cnn4"
    )
    assert repeat_command(composed, ["+experiment=best"], more=Path("multirun/1")) == (
        "python -m dcase_sweep 'hydra.searchpath=[conf,multirun/1]' +experiment=best"
    )
    assert repeat_command(settings(), ["+experiment=best"], more=Path("multirun/1")) == (
        "python -m dcase_sweep --config-dir multirun/1 +experiment=best"
    )


def test_a_command_to_repeat_names_a_task_as_it_was_typed() -> None:
    words = ["task='4'", "data.name='4'", "augmentation=[roll,mixup]"]

    assert repeat_command(settings(), words) == (
        "python -m dcase_sweep task=4 'data.name='\"'\"'4'\"'\"'' 'augmentation=[roll,mixup]'"
    )
    assert repeat_command(settings(), ["task=1a,'4'"], is_sweep=True).endswith(" task=1a,4")


def test_classes_that_ones_own_files_name(conf: Path) -> None:
    (conf / "model/own.yaml").write_text("_target_: own.Net\n")
    (conf / "data").mkdir()
    (conf / "data/own.yaml").write_text("# @package _global_\ndata:\n  _target_: own.Data\n")

    named = named_in_folder("conf")

    assert (named["model._target_"], named["data._target_"]) == (frozenset({"own.Net"}), frozenset({"own.Data"}))


def test_a_task_of_a_folder_names_the_class_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task/tags.yaml").write_text(
        "# @package _global_\ntask: {_target_: mine.Tags}\ndata: {_target_: mine.Tones}\n"
    )
    (tmp_path / "notes.yaml").write_text("- not a configuration\n")

    named = named_in_folder(str(tmp_path))

    assert (named["task._target_"], named["data._target_"]) == (frozenset({"mine.Tags"}), frozenset({"mine.Tones"}))
    assert named["model._target_"] == frozenset()
