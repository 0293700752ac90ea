"""A project written by `init`: every command of its README, from the first run to an export."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from dcase_sweep.cli.init import main as init
from dcase_sweep.cli.init import package_name
from dcase_sweep.utils.errors import UserError
from tests.conftest import UNDRAWN, CommandLine, copy_database
from tests.warm import WarmServer

FAST = ("training.epochs=2", "hardware.threads=1", UNDRAWN)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, warm: WarmServer, database: Path) -> CommandLine:
    folder = tmp_path_factory.mktemp("own") / "birds-2024"
    assert init([str(folder)]) == 0
    copy_database(database, folder / "mlruns")
    return CommandLine(folder, warm)


def commands(project: CommandLine, word: str) -> list[str]:
    """The words of the README's command with this one in it."""
    lines = (project.folder / "README.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("python -m dcase_sweep") and word in line]
    return line.split()[3:]


def printed_command(output: str, begin: str) -> list[str]:
    """The words of a command line that was printed, as a shell takes them."""
    import shlex

    found = re.search(rf"^{begin}python -m dcase_sweep (.*)$", output, re.MULTILINE)
    assert found is not None, output
    return shlex.split(found[1])


def test_a_grid_trains_again_what_was_edited(project: CommandLine) -> None:
    grid = [*commands(project, " -m --"), *FAST, "hydra.sweeper.skip_finished=true"]
    project(*grid)
    again = project(*grid)
    model = project.folder / "birds_2024" / "model.py"
    model.write_text(model.read_text().replace("nn.ReLU()", "nn.SiLU()"))
    edited = project(*grid)

    assert again.count("skipped   ") == 2
    assert "skipped   " not in edited
    assert "2 of 2 jobs finished" in edited


def test_other_processes_find_the_project(project: CommandLine) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    """One process is started: what it finds, each of several would find."""
    grid = [word.replace("model.width=4,8", "model.width=8") for word in commands(project, " -m --")]
    more = (*FAST, "training.epochs=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=3")

    output = project(*grid, *more)

    assert "model.width=8" in grid
    assert "1 of 1 jobs finished" in output
    folder = max((project.folder / "multirun").glob("*/*"), key=lambda path: path.stat().st_mtime)
    again = project(f"resume={folder}", "--config-dir", "conf")
    assert "nothing is left to run" in again


def test_an_interrupted_run_shows_how_to_continue(project: CommandLine) -> None:
    first = next(
        line.split()[3:]
        for line in (project.folder / "README.md").read_text().splitlines()
        if line.endswith("--config-dir conf +experiment=first")
    )
    known = set(project.folder.rglob("last.ckpt"))
    process = project.start(*first, "training.epochs=60", "hardware.threads=1")
    deadline = time.monotonic() + 120
    while not set(project.folder.rglob("last.ckpt")) - known:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    words = printed_command(output, "interrupted; to continue: ")

    resumed = project(*words)

    assert words[:2] == ["--config-dir", "conf"]
    assert "60 epochs" in resumed
    assert "a new one is made" not in resumed


def test_a_search_of_two_workers_is_repeated_continued_and_kept_apart_from_another_network(
    project: CommandLine,
) -> None:
    search = [*commands(project, "search=width"), *FAST]
    found = project(*search)
    repeated = project(*printed_command(found, "repeat    "))
    continued = project(*search)
    model = project.folder / "birds_2024" / "model.py"
    model.write_text(model.read_text() + "\n# edited\n")
    refused = project(*search, code=1)

    assert "4 finished" in found
    assert "small on recordings" in repeated
    assert "(continued with 4 finished)" in continued
    assert "the source of birds_2024 has changed" in refused


def test_complexity_and_export_know_the_projects_classes(project: CommandLine) -> None:
    pytest.importorskip("onnxruntime")
    before = project(*commands(project, "complexity"))
    project("--config-dir", "conf", "+experiment=first", *FAST, "hydra.run.dir=outputs/to_export")
    words = [word.replace("outputs/DATE/TIME", "outputs/to_export") for word in commands(project, "export onnx")]
    exported = project(*words)
    without = project("export", "onnx", "run=outputs/to_export", "data.root=recordings", code=1)

    assert "model.width=4" in before
    assert "int8" in exported
    assert list((project.folder / "outputs/to_export/export/onnx").glob("*.onnx"))
    assert "a file is not trusted to name code" in without


def test_the_projects_own_tests_pass(project: CommandLine) -> None:
    done = project.start("-q", "-p", "no:cacheprovider", "tests", module="pytest")
    output, _ = done.communicate(timeout=120)

    assert done.returncode == 0, output
    assert "3 passed" in output


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="not empty; expected a new folder"):
        init([str(tmp_path)])
    with pytest.raises(UserError, match="a file; expected a new folder"):
        init([str(tmp_path / "thesis.txt")])

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("birds-2024", "birds_2024"), ("My Lab", "my_lab"), ("json", "json_project"), ("torch", "torch_project")],
)
def test_the_package_is_named_after_the_folder(folder: str, name: str) -> None:
    assert package_name(Path(folder)) == name


@pytest.mark.parametrize("folder", ["2024", "ä"])
def test_a_folder_whose_name_no_package_can_have_is_rejected(folder: str) -> None:
    with pytest.raises(UserError, match="not a name for a Python package"):
        package_name(Path(folder))
