"""The source code on which a configuration depends."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcase_sweep.config import sources
from dcase_sweep.config.sources import hash_module, hash_sources


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python imports from, as a new process sees it."""
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """Clear the caches, like a new process."""
    for cached in (sources._hash_all, sources._find_top, sources._hash_library):
        cached.cache_clear()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    forget()


def test_a_module_counts_by_its_file(project: Path) -> None:
    configuration = {"model._target_": "my_net.Net", "model.units": 8, "front_end._target_": "dcase_sweep.audio.X"}
    write(project, {"my_net.py": "class Net: pass", "other.py": ""})
    before = hash_sources(configuration)

    write(project, {"other.py": "changed = 1"})
    assert hash_sources(configuration) == before
    write(project, {"my_net.py": "class Net: units = 2"})
    after = hash_sources(configuration)

    assert list(before) == list(after) == ["my_net"]
    assert before != after
    assert "my_net" not in sys.modules


@pytest.mark.parametrize("statement", ["import layers", "from layers import Layer", "from layers import *"])
def test_local_modules_that_it_imports_count_too(project: Path, statement: str) -> None:
    write(project, {"my_net.py": f"import os, torch\n{statement}", "layers.py": "class Layer: pass"})
    before = hash_sources({"model._target_": "my_net.Net"})

    write(project, {"layers.py": "class Layer: width = 3"})

    assert list(before) == ["layers", "my_net"]
    assert hash_sources({"model._target_": "my_net.Net"}) != before


def test_a_package_counts_as_a_whole_and_for_stored_features_what_is_imported(project: Path) -> None:
    write(
        project,
        {
            "lab/__init__.py": "",
            "lab/features/__init__.py": "",
            "lab/features/cqt.py": "from .filters import bank",
            "lab/features/filters.py": "bank = 1",
            "lab/nets.py": "class Net: pass",
        },
    )
    configuration = {"front_end._target_": "lab.features.cqt.CQT"}
    whole, part = hash_sources(configuration), hash_module("lab.features.cqt.CQT")

    write(project, {"lab/nets.py": "class Net: depth = 2"})
    assert hash_sources(configuration) != whole
    assert hash_module("lab.features.cqt.CQT") == part

    write(project, {"lab/features/filters.py": "bank = 2"})
    assert hash_module("lab.features.cqt.CQT") != part


def test_folders_without_init_count_module_by_module(project: Path) -> None:
    write(project, {"lab/nets.py": "from lab.parts import layers", "lab/parts/layers.py": "", "lab/notes.py": ""})

    assert list(hash_sources({"model._target_": "lab.nets.Net"})) == ["lab.nets", "lab.parts.layers"]


def test_every_component_counts_wherever_it_is_named(project: Path) -> None:
    write(project, {f"{name}.py": "" for name in ("aug", "call", "learn")})

    found = hash_sources(
        {
            "augmentation.0._target_": "aug.Shift",
            "metrics.f._target_": "hydra.utils.get_method",
            "metrics.f.path": "call.score",
            "framework.learners.scenes": "learn.Learner",
            "optimizer._target_": "torch.optim.RAdam",
            "model._target_": "dcase_sweep.models.cnn.CNN",
            "data.root": "aug.wav",
        }
    )

    assert list(found) == ["aug", "call", "learn"]


def test_an_installed_library_counts_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = hash_sources({"metrics.0._target_": "rich.table.Table"})

    older = SimpleNamespace(version="0.0.1", files=None)
    monkeypatch.setattr(sources.metadata, "distribution", lambda name: older)
    forget()

    assert name.startswith("rich ")
    assert list(hash_sources({"metrics.0._target_": "rich.table.Table"})) == ["rich 0.0.1"]


def test_a_class_without_a_file_never_has_the_same_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typed_in_a_notebook", type(sys)("typed_in_a_notebook"))
    first = hash_sources({"model._target_": "typed_in_a_notebook.Net"})

    assert list(first) == ["typed_in_a_notebook"]
    assert first == hash_sources({"model._target_": "typed_in_a_notebook.Net"})
    assert first["typed_in_a_notebook"] == sources._UNREADABLE


def test_a_missing_component_has_no_source() -> None:
    assert hash_sources({"model._target_": "nowhere.Net", "data._target_": "Net"}) == {}
