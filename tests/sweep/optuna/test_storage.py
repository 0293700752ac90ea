"""Storages: errors for other files, no loss after a kill, and one study for simultaneous commands."""

import errno
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock

from dcase_sweep.sweep.optuna import journal as journals
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.opening import open_study
from dcase_sweep.sweep.optuna.storage import claim, open_storage
from dcase_sweep.utils.errors import UserError
from tests.sweep.optuna.test_study import OBJECTIVE, finish, opened, signature


def test_a_kill_while_writing_leaves_neither_lock_nor_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    finish(opened(str(path)))
    program = (
        "import sys, time; from filelock import FileLock\n"
        f"lock = FileLock({str(path) + '.lock'!r}); lock.acquire()\n"
        f"handle = open({str(path)!r}, 'a'); handle.write('{{\"op_code\": 5, \"wor'); handle.flush()\n"
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()

    study = optuna.load_study(study_name="s", storage=open_storage(str(path)))
    finish(study)

    assert records.counts(opened(str(path)).get_trials()) == {"finished": 2}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_the_disk_is_waited_for_when_a_trial_ends_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    waits: list[int] = []
    monkeypatch.setattr("os.fsync", waits.append)
    trial = records.ask(study, 1)
    assert trial is not None
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 0)

    assert waits == []
    study.tell(trial, 0.5)
    assert len(waits) == 1


def test_a_database_whose_driver_is_missing_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(UserError, match="the package psycopg; or name another driver") as refused:
        open_storage("postgresql://me:secret@localhost/optuna")
    assert "secret" not in str(refused.value)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal of one finished trial."""
    finish(opened(str(tmp_path / "optuna.log")))
    return tmp_path / "optuna.log"


def finished(path: Path) -> int:
    study = optuna.load_study(study_name="s", storage=open_storage(str(path)))
    return records.counts(study.get_trials())["finished"]


def insert(path: Path, position: int, text: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines.insert(position, text)
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\n",
        b"[]\n",
        b"42\n",
        b"\xff\xfe\n",
        b'{"a": 1}\n',
        b'{"op_code": 99}\n',
        b'{"op_code": 4}\n',
        b'{"op_code": "x"}\n',
        b'{"op_code": 0, "study_name": "z", "directions": 3, "worker_id": "w"}\n',
    ],
)
def test_a_line_that_is_no_record_is_named(journal: Path, line: bytes) -> None:
    insert(journal, 2, line)

    with pytest.raises(UserError, match=r"optuna.log, line 3: .*; expected a record of Optuna's journal: remove the"):
        open_storage(str(journal))


def test_a_record_that_was_cut_short_and_written_on_by_another_program_is_read(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-1], b'{"op_code":8,"wor' + lines[-1]]))

    assert finished(journal) == 1


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_kill_in_the_middle_of_a_record_loses_that_record_alone(journal: Path, cut: int) -> None:
    whole = journal.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    journal.write_bytes(whole + last[:cut])

    assert finished(journal) == 1
    finish(optuna.load_study(study_name="s", storage=open_storage(str(journal))))
    assert finished(journal) == 2
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_a_first_record_that_was_cut_short_begins_a_new_journal(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    path.write_bytes(b'{"op_code":0,"work')

    finish(opened(str(path)))

    assert finished(path) == 1


def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    path.touch()

    finish(opened(str(path)))

    assert finished(path) == 1


def test_a_file_that_is_not_a_journal_is_rejected_and_not_changed(tmp_path: Path) -> None:
    text, sparse = tmp_path / "notes.txt", tmp_path / "sparse"
    text.write_text("root:x:0:0\nno end")
    with sparse.open("wb") as handle:
        handle.truncate(2**30)
    os.mkfifo(tmp_path / "pipe")
    expected = {
        str(text): "not a journal of Optuna's \\(it begins with 'root:x:0:",
        str(sparse): "not a journal of Optuna's",
        str(tmp_path / "pipe"): "a named pipe; expected a journal file",
        str(tmp_path): "a folder; expected a journal file",
        "/dev/zero": "a device; expected a journal file",
        str(text / "below"): "Not a directory",
        "/proc/nowhere/optuna.log": "No such file",
        "a\0b": "null",
        "x" * 5000: "File name too long",
    }
    for where, message in expected.items():
        began = time.process_time()
        with pytest.raises(UserError, match=message):
            open_storage(where)
        assert time.process_time() - began < 5
    assert text.read_text() == "root:x:0:0\nno end"


def test_a_record_of_a_gigabyte_is_not_read(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_LONGEST", 2**20)
    with journal.open("r+b") as handle:
        handle.truncate(journal.stat().st_size + 2**30)

    with pytest.raises(UserError, match="longer than 1 MiB"):
        open_storage(str(journal))


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
    (tmp_path / "text").write_text("no database, although it is long enough to be taken for one" * 20)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UserError, match=r"a database of something else \(with a table runs\)"):
        open_storage(f"sqlite:///{path}")
    with pytest.raises(UserError, match="file is not a database"):
        open_storage(f"sqlite:///{tmp_path / 'text'}")
    with pytest.raises(UserError, match="a named pipe"):
        open_storage(f"sqlite:///{tmp_path / 'pipe'}")
    for memory in ("sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"):
        with pytest.raises(UserError, match="workers cannot share"):
            open_storage(memory)
    with sqlite3.connect(path) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["runs"]


def test_a_url_that_nothing_opens_is_reported_without_its_password() -> None:
    for where in ("foo://me:secret@host/x", "redis://me:sec/ret@localhost", "postgresql+nothing://me:se@cret@h/x"):
        with pytest.raises(UserError) as refused:
            open_storage(where)
        assert "hydra.sweeper.storage" in str(refused.value)
        assert "ret" not in str(refused.value).replace("interpreted", "")


def begin(where: str, all_are_there: Any, told: Any) -> None:
    """Create or join the study like a command."""
    all_are_there.wait(60)
    try:
        storage = records.open_storage(where)
        with records.claim(storage):
            study = open_study(storage, "s", OBJECTIVE, signature(), fresh=False)
            if study.user_attrs.get(records.RECORD) is None:
                study.set_user_attr(records.RECORD, "a parent")
                told.put("made its parent")
            else:
                told.put("joined")
    except UserError as error:
        told.put(str(error))


@pytest.mark.parametrize("name", ["optuna.log", "sqlite:///optuna.db"])
def test_many_commands_at_once_make_one_study_with_one_parent(tmp_path: Path, name: str) -> None:
    where = name.replace("optuna", str(tmp_path / "optuna"))
    context = multiprocessing.get_context("fork")
    all_are_there, told = context.Barrier(8), context.Queue()
    processes = [context.Process(target=begin, args=(where, all_are_there, told)) for _ in range(8)]
    for process in processes:
        process.start()
    found = sorted(told.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 8
    assert found == ["joined"] * 7 + ["made its parent"]


def test_a_claim_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    opened(str(path))
    program = (
        "import sys, time\nfrom dcase_sweep.sweep.optuna.storage import claim, open_storage\n"
        f"with claim(open_storage({str(path)!r})):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[3]
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()

    with claim(open_storage(str(path))):
        pass


def test_a_study_whose_maker_was_killed_before_it_was_signed_is_signed(tmp_path: Path) -> None:
    where = str(tmp_path / "optuna.log")
    optuna.create_study(study_name="s", storage=open_storage(where), direction="maximize")

    assert opened(where).user_attrs[records.SIGNATURE]["space"] == {"model.depth": "2..5"}


def test_a_study_that_another_program_made_is_rejected(tmp_path: Path) -> None:
    where = str(tmp_path / "optuna.log")
    optuna.create_study(study_name="s", storage=open_storage(where), direction="minimize")

    with pytest.raises(
        UserError, match=r"not created by a search of dcase_sweep; use another hydra.sweeper.study_name"
    ):
        opened(where)


def test_a_lock_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(str(tmp_path / "optuna.log"))

    def acquire(lock: FileLock) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), lock.lock_file)

    monkeypatch.setattr(FileLock, "acquire", acquire)

    with pytest.raises(UserError, match=r"/optuna.log: optuna.log.claim: Permission denied; expected"), claim(storage):
        pass
