"""The commit that is recorded with a run."""

import subprocess
from pathlib import Path

import pytest

from dcase_sweep.config import sources
from dcase_sweep.tracking.provenance import commit_tags, git_commit, signature

CODE, WORKING = "mlflow.source.git.commit", "dcase_sweep.working_folder.git.commit"


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")


def repository(folder: Path, *files: str) -> Path:
    for name in ("README", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{folder.name} {name}")
    for command in (["init", "-q"], ["add", "README", *files], ["commit", "-qm", "all"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


def test_the_packages_checkout_comes_first_and_another_repository_second(tmp_path: Path) -> None:
    checkout = repository(tmp_path / "checkout", "package/__init__.py")
    own = repository(tmp_path / "own")

    tags = commit_tags(own, checkout / "package")

    assert tags == {CODE: git_commit(checkout), WORKING: git_commit(own)}
    assert tags[CODE] != tags[WORKING]


def test_in_the_checkout_itself_there_is_one_commit(tmp_path: Path) -> None:
    checkout = repository(tmp_path / "checkout", "package/__init__.py")
    assert commit_tags(checkout, checkout / "package") == {CODE: git_commit(checkout)}

    (checkout / "README").write_text("changed")
    assert str(commit_tags(checkout, checkout / "package")[CODE]).endswith("-dirty")


def test_a_package_installed_into_somebodys_repository_is_not_of_its_commit(tmp_path: Path) -> None:
    own = repository(tmp_path / "own")
    installed = own / ".venv/package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")

    assert commit_tags(own, installed) == {CODE: git_commit(own)}


def test_outside_any_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_tags(tmp_path, tmp_path) == {}


def test_a_signature_follows_what_is_computed_and_not_where() -> None:
    base = {"optimizer.lr": 1e-3, "data.root": "/a", "tracking.folder": "x", "hardware.threads": 1}

    assert signature(base, "data") == signature({**base, "data.root": "/b", "hardware.threads": 2}, "data")
    assert signature(base, "data") != signature({**base, "optimizer.lr": 1e-4}, "data")
    assert signature(base, "data") != signature(base, "other data")


def test_a_signature_follows_the_source_of_components_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    configuration = {"model._target_": "net_of_somebody.Net"}
    (tmp_path / "net_of_somebody.py").write_text("class Net: pass")
    before = signature(configuration, "data")

    (tmp_path / "net_of_somebody.py").write_text("class Net: width = 2")
    sources._hash_all.cache_clear()

    assert signature(configuration, "data") != before
