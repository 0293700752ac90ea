"""Stores on full and read-only disks, with damaged files, and after kills: no wrong features, no traceback."""

import errno
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcase_sweep.data.store import folder as folder_module
from dcase_sweep.data.store.index import parse_index
from dcase_sweep.utils.errors import UserError
from tests.data.test_contents import NAMES, Loudness, assert_right, expected, forget, make, store_of
from tests.mounts import tmpfs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "data", 1)


def rewritten(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        index = json.loads(path.read_text())
        changed = change(index)
        path.write_text(json.dumps(index if changed is None else changed))

    return write


def in_its_place(make_it: Callable[[Path], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.unlink()
        make_it(path)

    return write


def large(path: Path) -> None:
    with path.open("r+b") as handle:
        handle.truncate(2**34)


ODD_FILES: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_text(""),
    "not JSON": lambda path: path.write_text("{'version': 3}"),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "nested": lambda path: path.write_text("[" * 900_000),
    "long number": lambda path: path.write_text('{"version": ' + "9" * 90_000 + "}"),
    "huge": large,
    "pipe": in_its_place(os.mkfifo),
    "folder": in_its_place(Path.mkdir),
    "full folder": in_its_place(lambda path: (path.mkdir(), (path / "x").write_text("x"))),
    "link to itself": in_its_place(lambda path: path.symlink_to(path)),
    "link outside": in_its_place(lambda path: path.symlink_to("/etc/passwd")),
    "endless": in_its_place(lambda path: path.symlink_to("/dev/zero")),
}
ODD_INDEXES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda index: [index],
    "null": lambda index: 0,
    "another version": lambda index: index.update(version=3),
    "a version of text": lambda index: index.update(version="3"),
    "no version": lambda index: index.pop("version"),
    "more clips": lambda index: index.update(clips=7),
    "negative clips": lambda index: index.update(clips=-6),
    "clips that are no number": lambda index: index.update(clips=float("nan")),
    "a negative row": lambda index: index.update(padded=[-1]),
    "a row too many": lambda index: index.update(padded=[6]),
    "a row of text": lambda index: index.update(padded=["1"]),
    "a row that is true": lambda index: index.update(padded=[True]),
    "a row that is infinite": lambda index: index.update(padded=[float("inf")]),
    "rows that are none": lambda index: index.update(cut=None),
    "rows as an object": lambda index: index.update(resampled={"1": 1}),
    "problems as a list": lambda index: index.update(problems=["x"]),
    "a problem of no clip": lambda index: index.update(problems={"6": "silent"}),
    "a problem of a negative clip": lambda index: index.update(problems={"-1": "silent"}),
    "a problem that is a number": lambda index: index.update(problems={"1": 5}),
    "a problem without text": lambda index: index.update(problems={"1": ""}),
    "a problem without end": lambda index: index.update(problems={"1": "x" * 100_000}),
    "lengths that are missing": lambda index: index.update(seconds=[]),
    "a length that is infinite": lambda index: index.update(seconds=[float("inf")] * 6),
    "nothing": lambda index: index.clear(),
}


@pytest.mark.parametrize("odd", [*ODD_FILES, *ODD_INDEXES])
def test_a_damaged_index_is_reported_in_one_line_and_written_again(root: Path, tmp_path: Path, odd: str) -> None:
    path = store_of(root, tmp_path / "store").path
    change = ODD_FILES.get(odd) or rewritten(ODD_INDEXES[odd])
    change(path / "store.json")
    notes: list[str] = []

    mended = store_of(root, tmp_path / "store", on_note=notes.append)

    assert_right(mended, root)
    assert (mended.computed, mended.problems, mended.count("padded")) == (0, [], 0)
    assert len(notes) == 1
    assert "damaged: its store.json is not as it was written" in notes[0]
    assert store_of(root, tmp_path / "store", on_note=notes.append).computed == 0
    assert len(notes) == 1


@pytest.mark.parametrize("name", ["features.npy", "checksums.npy", "contents.npy"])
@pytest.mark.parametrize("odd", [*ODD_FILES, "longer", "an archive", "objects", "another type", "column by column"])
def test_damaged_arrays_are_reported_in_one_line_and_never_give_wrong_features(
    root: Path, tmp_path: Path, name: str, odd: str
) -> None:
    path = store_of(root, tmp_path / "store").path / name
    array = np.load(path)
    if odd in ODD_FILES:
        ODD_FILES[odd](path)
    elif odd == "longer":
        with path.open("ab") as handle:
            handle.write(b"more")
    elif odd == "an archive":
        np.savez(path.with_suffix(".npz"), array)
        path.with_suffix(".npz").replace(path)
    else:
        values: dict[str, Any] = {
            "objects": array.astype(object),
            "another type": array.astype(np.float64),
            "column by column": np.asfortranarray(array) if array.ndim > 1 else array[::-1].astype(">u4"),
        }
        np.save(path, values[odd], allow_pickle=True)
    notes: list[str] = []

    mended = store_of(root, tmp_path / "store", on_note=notes.append)

    assert_right(mended, root)
    assert len(notes) == 1
    assert "damaged" in notes[0]
    assert store_of(root, tmp_path / "store").computed == 0


@pytest.mark.parametrize("odd", ODD_FILES)
def test_a_damaged_journal_only_costs_time(root: Path, tmp_path: Path, odd: str) -> None:
    path = store_of(root, tmp_path / "store").path
    (path / "store.json").unlink()
    ODD_FILES[odd](path / "states.jsonl")

    assert_right(store_of(root, tmp_path / "store"), root)
    assert store_of(root, tmp_path / "store").computed == 0


@pytest.mark.parametrize(
    "line",
    [
        '[-1, false, false, false, 1.0, "gone"]',
        '[6, false, false, false, 1.0, "gone"]',
        '[true, false, false, false, 1.0, "gone"]',
        '[1, 0, false, false, 1.0, "gone"]',
        '[1, false, false, false, 1.0, ["gone"]]',
        '[1, {"problem": "gone"}]',
        '{"1": "gone"}',
        "NaN",
    ],
)
def test_damaged_lines_of_a_journal_are_ignored(root: Path, tmp_path: Path, line: str) -> None:
    path = store_of(root, tmp_path / "store").path
    (path / "store.json").unlink()
    with (path / "states.jsonl").open("a") as handle:
        handle.write(line + "\n")

    again = store_of(root, tmp_path / "store")

    assert (again.computed, again.problems) == (0, [])


def test_an_index_of_problems_is_read_as_it_was_written() -> None:
    text = '{"version": 3, "clips": 3, "padded": [0], "cut": [], "resampled": [0, 2], "seconds": [1, 2.5, 3],'
    text += ' "problems": {"1": "silent"}}'

    states = parse_index(text, version=3, clips=3)

    assert states is not None
    assert [state.padded for state in states] == [True, False, False]
    assert [state.resampled for state in states] == [True, False, True]
    assert [state.seconds for state in states] == [1, 2.5, 3]
    assert [state.problem for state in states] == [None, "silent", None]


@pytest.mark.parametrize("odd", ["pipe", "folder", "link to itself", "endless"])
def test_a_damaged_record_of_uses_is_written_again(root: Path, tmp_path: Path, odd: str) -> None:
    path = store_of(root, tmp_path / "store", name="tau").path / "use.json"
    ODD_FILES[odd](path)

    store_of(root, tmp_path / "store", name="tau")

    assert json.loads(path.read_text())["data"] == [["tau", str(root)]]


def test_a_complete_store_on_a_read_only_disk_is_read_without_a_lock(root: Path, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", kib=80 * 1024) as remount:
        store_of(root, tmp_path / "disk/store")
        for lock in (tmp_path / "disk").rglob("*.lock"):
            lock.unlink()
        remount("ro")

        again = store_of(root, tmp_path / "disk/store")

        assert again.computed == 0
        assert_right(again, root)


@pytest.mark.parametrize("missing", ["store.json", "features.npy", "the folder"])
def test_an_incomplete_store_on_a_read_only_disk_is_reported_in_one_line(
    root: Path, tmp_path: Path, missing: str
) -> None:
    with tmpfs(tmp_path / "disk", kib=80 * 1024) as remount:
        path = store_of(root, tmp_path / "disk/store").path
        if missing == "the folder":
            shutil.rmtree(path.parent)
        else:
            (path / missing).unlink()
        forget()
        remount("ro")

        with pytest.raises(UserError, match=r"disk/store/.*: Read-only file system; features are missing.*store\.root"):
            store_of(root, tmp_path / "disk/store")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("complete", [True, False])
def test_a_store_without_permission_to_write(root: Path, tmp_path: Path, complete: bool) -> None:
    """Another user can read a complete store; an incomplete one is reported in one line."""
    path = store_of(root, tmp_path / "store").path
    if not complete:
        (path / "store.json").unlink()
    # What lies above must be open to others for the time of the test.
    closed = [(each, each.stat().st_mode) for each in tmp_path.parents if not each.stat().st_mode & 0o005]
    try:
        for each, mode in closed:
            each.chmod(mode | 0o005)
        for each in (tmp_path, *tmp_path.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)
        child = os.fork()
        if child == 0:
            try:
                os.setgid(65534)
                os.setuid(65534)
                computed = store_of(root, tmp_path / "store").computed
                os._exit(computed)
            except UserError as error:
                os._exit(40 if "Permission denied; features are missing" in str(error) else 41)
            except BaseException:
                os._exit(42)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        for each, mode in closed:
            each.chmod(mode)

    assert code == (0 if complete else 40)


def test_a_full_disk_is_reported_in_one_line_and_the_next_command_continues(root: Path, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", kib=1024) as remount:
        with pytest.raises(UserError, match=r"disk/store/.*MiB free, 64 MiB needed.*store\.root"):
            store_of(root, tmp_path / "disk/store")
        assert not list((tmp_path / "disk").rglob("features.npy"))
        remount("size=100m")

        assert_right(store_of(root, tmp_path / "disk/store"), root)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_failed_reservation_of_space_is_reported_in_one_line_and_leaves_no_arrays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(UserError, match=rf"{tmp_path}/store/.*(no space left|quota).*store\.root"):
            store_of(root, tmp_path / "store")
    assert not list((tmp_path / "store").rglob("*.npy"))

    assert_right(store_of(root, tmp_path / "store"), root)


def test_a_disk_that_fills_up_during_the_computation_keeps_computed_features(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def write(handle: Any, row: int, state: Any) -> None:
        nonlocal written
        written += 1
        if written > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(handle, row, state)

    original = folder_module.Journal.write
    with monkeypatch.context() as patched:
        patched.setattr(folder_module.Journal, "write", write)
        with pytest.raises(
            UserError, match=rf"{tmp_path}/store/.*: no space left on the disk.*computed features are kept"
        ):
            store_of(root, tmp_path / "store")

    again = store_of(root, tmp_path / "store")
    assert again.computed == 3
    assert_right(again, root)


class Slow(Loudness):
    def __call__(self, waveforms: Any) -> Any:
        time.sleep(0.05)
        return super().__call__(waveforms)


def test_a_killed_build_that_two_processes_continue_is_correct(root: Path, tmp_path: Path) -> None:
    names = [f"{number}{name}" for number in range(6) for name in NAMES]
    for number, name in enumerate(names):
        data = bytearray((root / name[1:]).read_bytes())
        data[100] = number  # no two are equal
        (root / name).write_bytes(data)
    context = multiprocessing.get_context("fork")
    built = context.Queue()

    def build() -> None:
        torch.set_num_threads(1)  # more of them do not outlive a fork
        store = store_of(root, tmp_path / "store", names, front_end=Slow())
        built.put((store.computed, store.fingerprint))

    def start() -> Any:
        process = context.Process(target=build)
        process.start()
        return process

    first = start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(
        len(path.read_text().splitlines()) > 8 for path in (tmp_path / "store").rglob("states.jsonl")
    ):
        time.sleep(0.02)
    first.kill()
    first.join()
    both = [start(), start()]
    ended = [built.get(timeout=120) for _ in both]
    for process in both:
        process.join()

    assert [process.exitcode for process in both] == [0, 0]
    assert 0 < sum(computed for computed, _ in ended) < len(names)
    assert ended[0][1] == ended[1][1]
    whole = store_of(root, tmp_path / "store", names)
    assert whole.computed == 0
    np.testing.assert_allclose(whole.features, expected(root, names), rtol=1e-4)
