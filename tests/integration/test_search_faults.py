"""Searches whose workers, commands or storage fail: what remains and what is reported."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.study import open_storage
from tests.conftest import DRAWN, CommandLine
from tests.integration.test_experiment import client
from tests.integration.test_other_applications import WarmProject
from tests.integration.test_search import SPACE, _owner, _running, _wait_for, newest, study
from tests.warm import WarmServer

Tiny = Callable[..., list[str]]
#: Kills a worker while it imports what it works with, as often as a file has letters.
TRAP = """
import os, signal, sys
class Trap:
    def find_spec(self, name, path=None, target=None):
        left = open({path!r}).read() if name == "dcase_sweep.sweep.optuna.worker" else ""
        if left:
            open({path!r}, "w").write(left[1:])
            print("out of luck", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
with open("/proc/self/cmdline") as handle:
    if {sign!r} in handle.read():
        sys.meta_path.insert(0, Trap())
"""


def points(*more: str) -> tuple[str, ...]:
    """A space of two points, one epoch each."""
    return ("hydra/sweeper=optuna", "model.units=8,16", "training.epochs=1", *more)


@pytest.fixture
def trap(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], Path]:
    """Kills this number of workers during their start. They are identified by a word of their command line.

    Returns a file with a letter for each that is still to be killed.
    """
    folder = command_line.folder / "trap"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(command_line, "warm_workers", False)

    def set_trap(deaths: int, sign: str) -> Path:
        (folder / "left").write_text("x" * deaths)
        (folder / "sitecustomize.py").write_text(TRAP.format(sign=sign, path=str(folder / "left")))
        return folder / "left"

    yield set_trap  # type: ignore[misc]
    shutil.rmtree(folder)


def test_a_worker_that_dies_while_it_starts_is_replaced(
    command_line: CommandLine, tiny: Tiny, trap: Callable[[int, str], Path]
) -> None:
    left = trap(2, "spawn_main")

    output = command_line("-m", *tiny(*points(), "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=replaced"))

    assert not left.read_text()
    assert "search    replaced: 2 finished" in output


def test_workers_that_die_repeatedly_end_the_search_with_their_output(
    command_line: CommandLine, tiny: Tiny, trap: Callable[[int, str], Path]
) -> None:
    trap(100, "spawn_main")

    output = command_line("-m", *tiny(*points(), "hydra.sweeper.study_name=dying"), code=1)

    assert "worker    out of luck" in output
    assert "search stopped: 5 workers in a row ended without a trial, the last one: killed by SIGKILL" in output
    assert "Traceback" not in output


def test_the_workers_of_joblib_are_restarted(
    tmp_path: Path, warm: WarmServer, trap: Callable[[int, str], Path]
) -> None:
    """Of another application, which imports less; its workers run in processes of this package, too."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    left = trap(1, "spawn_main")
    project = WarmProject(tmp_path, warm)

    words = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_trials=2")
    output, _ = project.fork(*words, warm_workers=False).communicate(timeout=300)

    assert not left.read_text()
    assert "search    train: 2 finished" in output


def test_the_trial_of_a_terminated_worker_is_retried(command_line: CommandLine, tiny: Tiny) -> None:
    more = ("training.epochs=32", "hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=asked")
    process = command_line.start("-m", *tiny(*SPACE, *more))
    first = _running(command_line.folder, set(), epochs=3, name="asked")
    os.kill(_owner(first), signal.SIGTERM)
    output, _ = process.communicate(timeout=300)

    assert process.returncode == 0, output
    trials = study(command_line.folder, "asked").get_trials()
    assert records.counts(trials) == {"interrupted": 1, "finished": 1}, output
    assert trials[1].user_attrs[records.CONTINUED] >= 2
    assert sorted(trials[1].intermediate_values) == list(range(32))


def test_two_commands_at_once_share_one_study_and_one_parent(command_line: CommandLine, tiny: Tiny) -> None:
    arguments = ["-m", *tiny(*SPACE, "training.epochs=1", "hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=both")]
    processes = [command_line.start(*arguments) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], printed
    found = study(command_line.folder, "both")
    assert records.counts(found.get_trials())["finished"] == 3
    store, experiment = client(command_line.folder)
    runs = store.search_runs([experiment])  # type: ignore[attr-defined]
    (parent,) = [run for run in runs if run.data.tags.get("dcase_sweep.study") == "both"]
    assert parent.info.run_id == found.user_attrs[records.RECORD]
    assert parent.info.status == "FINISHED"
    assert len([run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]) == 3
    assert all("search    both: 3 finished" in output for output in printed)


def test_a_command_takes_over_what_another_one_leaves_while_it_waits(command_line: CommandLine, tiny: Tiny) -> None:
    """The second command has nothing to do until the first one and its worker are killed."""
    arguments = ["-m", *tiny(*SPACE, "training.epochs=32", "hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=over")]
    first = command_line.start(*arguments)
    trial = _running(command_line.folder, set(), name="over")
    second = command_line.start(*arguments)
    os.kill(_owner(trial), signal.SIGSTOP)
    first.kill()
    first.communicate()
    os.kill(_owner(trial), signal.SIGKILL)
    output, _ = second.communicate(timeout=300)

    assert second.returncode == 0, output
    assert records.counts(study(command_line.folder, "over").get_trials()) == {"interrupted": 1, "finished": 1}


def test_a_finite_space_is_tried_once(command_line: CommandLine, tiny: Tiny) -> None:
    for name, more, said in (
        ("twice", (), "space exhausted: each of its 2 configurations was tried; 2 of 5 wanted trials"),
        ("grid", ("hydra/sweeper/sampler=grid",), "grid complete: 2 of 2"),
    ):
        arguments = ["-m", *tiny(*points(*more), "hydra.sweeper.n_trials=5", f"hydra.sweeper.study_name={name}")]
        first, again = command_line(*arguments), command_line(*arguments)

        assert f"search    {said}" in first
        assert f"search    {said}" in again
        store, experiment = client(command_line.folder)
        runs = store.search_runs([experiment])  # type: ignore[attr-defined]
        assert len([run for run in runs if run.info.run_name.startswith(f"{name} #")]) == 2


def test_a_name_with_quotation_marks_and_tags_is_only_a_name(command_line: CommandLine, tiny: Tiny) -> None:
    name = """bob's "<script>alert(1)</script>" 100% a/b [x]={y} ü"""
    quoted = "'" + name.replace("'", "\\'") + "'"
    more = ("hydra.sweeper.n_trials=2", f"hydra.sweeper.study_name={quoted}", DRAWN)
    output = command_line("-m", *tiny(*points(), *more))

    assert f"search    {name}: 2 finished" in output
    page = (newest(command_line.folder) / "figures" / "search.html").read_text()
    assert "<script>alert" not in page
    assert "bob&#x27;s &quot;&lt;script&gt;" in page
    store, experiment = client(command_line.folder)
    names = {run.info.run_name for run in store.search_runs([experiment])}  # type: ignore[attr-defined]
    assert names >= {name, f"{name} #0", f"{name} #1"}
    repeat = next(line for line in output.splitlines() if line.startswith("repeat"))
    assert "run " in command_line(*repeat.split()[4:])


def test_a_search_goes_on_without_its_runs(command_line: CommandLine, tiny: Tiny, database: Path) -> None:
    """The store of runs has been deleted; the study and the checkpoints exist."""
    arguments = ["-m", *tiny(*SPACE, "training.epochs=1", "hydra.sweeper.study_name=lost")]
    command_line(*arguments, "hydra.sweeper.n_trials=1")
    for path in (command_line.folder / "mlruns").glob("*mlflow.db*"):
        path.unlink()
    with sqlite3.connect(database) as source, sqlite3.connect(command_line.folder / "mlruns" / "mlflow.db") as copy:
        source.backup(copy)

    output = command_line(*arguments, "hydra.sweeper.n_trials=2")

    assert "search    lost: 2 finished" in output
    assert output.count("a new run is created") == 1
    with sqlite3.connect(command_line.folder / "mlruns" / "mlflow.db") as made:  # a client may hold the deleted file
        names = {name for (name,) in made.execute("SELECT name FROM runs")}
    assert names == {"lost", "lost #1"}


def test_passwords_are_written_nowhere(command_line: CommandLine, tiny: Tiny) -> None:
    """The driver of SQLite takes parameters that it does not know, and a name and a password before the file."""
    where = f"sqlite:///{command_line.folder}/optuna.db?password=top.secret"
    more = ("hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=p", f"hydra.sweeper.storage='{where}'")
    process = command_line.start("-m", *tiny(*points(*more)))
    output, _ = process.communicate(timeout=300)

    assert "top.secret" not in output
    assert "password=***" in output
    for path in command_line.folder.rglob("*"):
        if path.is_file() and "cache" not in path.parts:
            assert b"top.secret" not in path.read_bytes(), path


def test_a_search_that_was_killed_again_and_again_comes_to_its_end(command_line: CommandLine, tiny: Tiny) -> None:
    """Each continuation starts with the last epoch of the previous one."""
    more = ("training.epochs=36", "hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=again")
    arguments = ["-m", *tiny(*SPACE, *more)]
    seen: set[int] = set()
    for epochs in (2, 5):
        process = command_line.start(*arguments)
        trial = _running(command_line.folder, seen, epochs=epochs, name="again")
        seen.add(trial.number)
        os.kill(_owner(trial), signal.SIGSTOP)
        process.kill()
        process.communicate()
        os.kill(_owner(trial), signal.SIGKILL)
        _wait_for(lambda trial=trial: not Path(f"/proc/{_owner(trial)}").exists())  # type: ignore[misc]
    output = command_line(*arguments)

    trials = study(command_line.folder, "again").get_trials()
    assert records.counts(trials) == {"interrupted": 2, "finished": 1}, output
    continued = [trial.user_attrs.get(records.CONTINUED, 0) for trial in trials]
    assert continued == sorted(continued)
    assert continued[-1] >= 4
    assert sorted(trials[-1].intermediate_values) == list(range(36))
    # One that is killed before its run is taken up again names none.
    assert len({trial.user_attrs[records.RUN] for trial in trials if records.RUN in trial.user_attrs}) == 1
    assert records.RUN in trials[-1].user_attrs
    assert isinstance(open_storage(str(command_line.folder / "mlruns" / "optuna.log")), optuna.storages.JournalStorage)
