"""Recordings are identified by their contents, not by name, size and time alone, and are not read twice."""

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from dcase_sweep.data.store import FeatureStore, KnownFiles, contents, open_store, opening
from dcase_sweep.data.store.contents import FileContents
from dcase_sweep.data.store.folder import front_end_folder
from dcase_sweep.data.store.hash_table import Stamp, read_table
from dcase_sweep.utils import leases
from dcase_sweep.utils.errors import UserError

NAMES = [f"clip{number}.wav" for number in range(6)]
CONFIGURATION = {"what": "loudness"}


class Loudness:
    """A front end that computes the mean square of each tenth of a clip."""

    sample_rate = 8000
    seconds = 1.0
    padding = "repeat"
    shape = (1, 10)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        return waveforms.reshape(len(waveforms), 1, 10, 800).square().mean(dim=3)


def forget() -> None:
    """Clear the caches of the process."""
    opening._verified.clear()
    opening._contents.clear()
    for path in list(leases._held):
        leases.release(Path(path))


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that were just written count as old."""
    monkeypatch.setattr(contents, "_RACY", -(10**9))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the files that are hashed."""
    found: list[str] = []
    hash_file = contents.hash_file

    def pluralize(path: str) -> Any:
        found.append(os.path.basename(path))
        return hash_file(path)

    monkeypatch.setattr(contents, "hash_file", pluralize)
    return found


def make(root: Path, seed: int, moment: int = 1_600_000_000) -> Path:
    """Write recordings of one size; the files of two roots differ only in inode and ctime."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        soundfile.write(root / name, rng.uniform(-0.5, 0.5, 8000), 8000, subtype="PCM_24")
        os.utime(root / name, (moment, moment))
    return root


def store_of(root: Path, store: Path, names: list[str] = NAMES, **more: Any) -> FeatureStore:
    forget()
    front_end = more.pop("front_end", Loudness())
    return open_store(root, names, front_end, store_root=store, configuration=CONFIGURATION, workers=2, **more)


def expected(root: Path, names: list[str] = NAMES) -> np.ndarray:
    samples = np.stack([soundfile.read(root / name, dtype="float32")[0] for name in names])
    return np.asarray((samples.reshape(-1, 1, 10, 800) ** 2).mean(axis=3))


def assert_right(store: FeatureStore, root: Path, names: list[str] = NAMES) -> None:
    np.testing.assert_allclose(store.features, expected(root, names), rtol=1e-4)


def test_two_data_sets_with_equal_names_sizes_and_times_share_nothing(tmp_path: Path, settled: None) -> None:
    first, second = make(tmp_path / "a", 1), make(tmp_path / "b", 2)

    one, other = store_of(first, tmp_path / "store"), store_of(second, tmp_path / "store")

    assert [one.computed, other.computed] == [6, 6]
    assert one.fingerprint != other.fingerprint
    assert_right(one, first)
    assert_right(other, second)


def test_a_data_set_that_takes_the_place_of_another_has_its_own_features(tmp_path: Path, settled: None) -> None:
    store_of(make(tmp_path / "data", 1), tmp_path / "store")
    make(tmp_path / "new", 2)
    (tmp_path / "data").rename(tmp_path / "old")
    (tmp_path / "new").rename(tmp_path / "data")

    replaced = store_of(tmp_path / "data", tmp_path / "store")

    assert replaced.computed == 6
    assert_right(replaced, tmp_path / "data")


@pytest.mark.parametrize("how", ["written in place", "renamed over", "one sample", "linked over"])
def test_a_file_that_is_replaced_under_the_same_size_and_time_is_computed_again(
    tmp_path: Path, settled: None, how: str
) -> None:
    root, path = make(tmp_path / "data", 1), tmp_path / "data" / NAMES[2]
    before = store_of(root, tmp_path / "store")
    status = path.stat()
    if how == "one sample":
        with path.open("r+b") as handle:
            handle.seek(10_000)
            handle.write(b"\x01\x02\x03")
    else:
        target = path if how == "written in place" else tmp_path / "other.wav"
        soundfile.write(target, np.full(8000, 0.25), 8000, subtype="PCM_24")
        if how == "renamed over":
            target.replace(path)
        elif how == "linked over":
            path.unlink()
            path.symlink_to(target)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    after = store_of(root, tmp_path / "store")

    assert path.stat().st_size == status.st_size
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert after.computed == 1
    assert after.fingerprint != before.fingerprint
    assert_right(after, root)


def test_a_link_that_is_changed_to_another_folder_is_followed(tmp_path: Path, settled: None) -> None:
    first, second = make(tmp_path / "a", 1), make(tmp_path / "b", 2)
    (tmp_path / "link").symlink_to(first)
    store_of(tmp_path / "link", tmp_path / "store")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(second)

    other = store_of(tmp_path / "link", tmp_path / "store")

    assert other.computed == 6
    assert_right(other, second)


def test_moved_data_are_neither_computed_nor_read_again(tmp_path: Path, settled: None, reads: list[str]) -> None:
    before = store_of(make(tmp_path / "data", 1), tmp_path / "store")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    reads.clear()

    moved = store_of(tmp_path / "elsewhere", tmp_path / "store")
    again = store_of(tmp_path / "elsewhere", tmp_path / "store")

    assert (moved.computed, again.computed, reads) == (0, 0, [])
    assert moved.fingerprint == before.fingerprint


def test_a_copy_at_another_time_finds_its_features_and_is_read_once(
    tmp_path: Path, settled: None, reads: list[str]
) -> None:
    before = store_of(make(tmp_path / "data", 1), tmp_path / "store")
    shutil.copytree(tmp_path / "data", tmp_path / "copy", copy_function=shutil.copyfile)
    reads.clear()

    copied = store_of(tmp_path / "copy", tmp_path / "store")
    assert sorted(reads) == NAMES
    again = store_of(tmp_path / "copy", tmp_path / "store")

    assert (copied.computed, again.computed, len(reads)) == (0, 0, 6)
    assert copied.fingerprint == before.fingerprint


def test_hard_links_and_other_names_find_the_same_features(tmp_path: Path, settled: None, reads: list[str]) -> None:
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store")
    (tmp_path / "links").mkdir()
    renamed = [f"other{number}.wav" for number in range(6)]
    for old, new in zip(NAMES, renamed, strict=True):
        os.link(root / old, tmp_path / "links" / new)
    reads.clear()

    linked = store_of(tmp_path / "links", tmp_path / "store", renamed)

    assert linked.computed == 0
    assert_right(linked, tmp_path / "links", renamed)


def test_other_splits_and_orders_share_computed_features(tmp_path: Path) -> None:
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store", NAMES[:4])

    other = store_of(root, tmp_path / "store", NAMES[::-1])

    assert other.computed == 2
    assert_right(other, root, NAMES[::-1])


def test_two_clips_that_changed_names_change_places(tmp_path: Path, settled: None) -> None:
    root = make(tmp_path / "data", 1)
    before = store_of(root, tmp_path / "store")
    (root / NAMES[0]).rename(root / "x")
    (root / NAMES[1]).rename(root / NAMES[0])
    (root / "x").rename(root / NAMES[1])

    after = store_of(root, tmp_path / "store")

    assert after.computed == 0
    assert after.fingerprint != before.fingerprint
    assert_right(after, root)


def test_a_second_run_reads_no_recording(tmp_path: Path, settled: None, reads: list[str]) -> None:
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store")
    reads.clear()

    forget()
    known = KnownFiles(root, store_root=tmp_path / "store", configuration=CONFIGURATION)
    assert known.problems(NAMES) == []
    assert store_of(root, tmp_path / "store").computed == 0
    assert reads == []


def test_files_that_changed_a_moment_ago_are_hashed_again(tmp_path: Path, reads: list[str]) -> None:
    """A second change within the resolution of the clock would have the same times."""
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store")
    reads.clear()

    assert store_of(root, tmp_path / "store").computed == 0
    assert sorted(reads) == NAMES


def test_files_from_the_future_are_hashed_again(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a clock was set back, the same times occur again."""
    root = make(tmp_path / "data", 1)
    now = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(contents.time, "time_ns", lambda: now)
    store_of(root, tmp_path / "store")
    reads.clear()

    store_of(root, tmp_path / "store")

    assert sorted(reads) == NAMES


def stamps_with(monkeypatch: pytest.MonkeyPatch, **fixed: int) -> None:
    make_stamp = contents.make_stamp
    monkeypatch.setattr(contents, "make_stamp", lambda status: make_stamp(status)._replace(**fixed))


def test_a_reused_inode_on_a_file_system_with_whole_seconds_is_detected(
    tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images that are mounted one after the other may have all numbers in common."""
    stamps_with(monkeypatch, device=7, inode=12, ctime=1_600_000_000 * 10**9)
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store")
    make(root, 2)

    other = store_of(root, tmp_path / "store")

    assert other.computed == 6
    assert_right(other, root)


def test_the_same_files_on_another_device_are_not_read_completely_again(
    tmp_path: Path, settled: None, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store")
    reads.clear()
    stamps_with(monkeypatch, device=99)

    assert store_of(root, tmp_path / "store").computed == 0
    assert reads == []


def test_other_files_on_another_device_with_equal_inodes_and_times_are_distinguished(
    tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two new file systems number their inodes alike, and a loop that fills both gives files the same time."""
    moment = 1_600_000_000 * 10**9 + 123_456
    with monkeypatch.context() as first:
        stamps_with(first, device=1, inode=12, ctime=moment)
        root = make(tmp_path / "data", 1)
        store_of(root, tmp_path / "store", NAMES[:1])
    stamps_with(monkeypatch, device=2, inode=12, ctime=moment)
    make(root, 2)

    other = store_of(root, tmp_path / "store", NAMES[:1])

    assert other.computed == 1
    assert_right(other, root, NAMES[:1])


class ChangesTheFile(Loudness):
    """A front end whose first call overwrites a recording.

    A later call would race with the other thread, which may read the recording before this one has overwritten it. What
    the first call belongs to is collected before the last clips are read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.calls = path, itertools.count()

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        if next(self.calls) == 0:
            status = self.path.stat()
            soundfile.write(self.path, np.full(8000, 0.25), 8000, subtype="PCM_24")
            os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return super().__call__(waveforms)


def test_a_file_that_changes_during_the_computation_is_reported_and_other_features_are_kept(tmp_path: Path) -> None:
    root = make(tmp_path / "data", 1)
    names = [f"{number}{name}" for number in range(8) for name in NAMES]
    for name in names:
        shutil.copyfile(root / name[1:], root / name)

    with pytest.raises(UserError, match=rf"{names[40]}: changed while its features were computed.*run the command"):
        store_of(root, tmp_path / "store", names, front_end=ChangesTheFile(root / names[40]))
    again = store_of(root, tmp_path / "store", names)

    assert 0 < again.computed < len(names)
    assert_right(again, root, names)


def test_a_file_that_was_missing_is_computed_when_it_exists(tmp_path: Path) -> None:
    root = make(tmp_path / "data", 1)
    (root / NAMES[2]).rename(tmp_path / "away")
    without = store_of(root, tmp_path / "store")
    again = store_of(root, tmp_path / "store")
    (tmp_path / "away").rename(root / NAMES[2])

    whole = store_of(root, tmp_path / "store")

    assert [Path(problem.split(":")[0]) for problem in without.problems] == [root / NAMES[2]]
    assert "listed but not on disk" in without.problems[0]
    assert (again.computed, again.problems) == (0, without.problems)
    assert (whole.computed, whole.problems) == (1, [])
    assert_right(whole, root)


def test_the_problem_of_a_recording_is_known_after_it_was_moved(tmp_path: Path) -> None:
    root = make(tmp_path / "data", 1)
    soundfile.write(root / NAMES[2], np.zeros(8000), 8000)
    store_of(root, tmp_path / "store")
    root.rename(tmp_path / "moved")
    forget()

    known = KnownFiles(tmp_path / "moved", store_root=tmp_path / "store", configuration=CONFIGURATION)
    moved = store_of(tmp_path / "moved", tmp_path / "store")

    assert [problem.split(":")[0] for problem in moved.problems] == [str(tmp_path / "moved" / NAMES[2])]
    found = known(NAMES[2])
    assert found is not None
    assert found.problem is not None
    assert "silent" in found.problem


def test_the_store_of_an_earlier_version_is_reported_and_not_used(tmp_path: Path) -> None:
    root = make(tmp_path / "data", 1)
    earlier = front_end_folder(tmp_path / "store", CONFIGURATION, version=2)
    (earlier / "0123456789abcdef").mkdir(parents=True)
    notes: list[str] = []

    store = store_of(root, tmp_path / "store", on_note=notes.append)

    assert store.computed == 6
    assert len(notes) == 1
    assert str(earlier) in notes[0]
    assert "earlier version" in notes[0]


@pytest.mark.parametrize("damage", ["a byte", "cut", "another file", "pipe", "folder", "empty"])
def test_a_damaged_table_only_costs_time(tmp_path: Path, settled: None, reads: list[str], damage: str) -> None:
    root = make(tmp_path / "data", 1)
    store_of(root, tmp_path / "store")
    (table,) = (tmp_path / "store" / "contents").iterdir()
    text = table.read_bytes()
    table.unlink()
    if damage == "pipe":
        os.mkfifo(table)
    elif damage == "folder":
        table.mkdir()
    else:
        changed = {"a byte": text[:-9] + b"\0" + text[-8:], "cut": text[:-20], "another file": b"RIFF" * 40}
        table.write_bytes(changed.get(damage, b""))
    reads.clear()

    store = store_of(root, tmp_path / "store")

    assert sorted(reads) == NAMES
    assert store.computed == 0
    assert_right(store, root)


def test_a_file_without_permission_to_read_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    files = FileContents(tmp_path, tmp_path / "store")

    assert files.digests(["folder", "pipe", "missing", "nul\0", "a" * 300]) == [None] * 5


def test_old_rows_of_a_name_leave_the_table(tmp_path: Path, settled: None) -> None:
    root = make(tmp_path / "data", 1)
    for seed in range(8):
        make(root, seed)
        store_of(root, tmp_path / "store")
    (table,) = (tmp_path / "store" / "contents").iterdir()

    rows = read_table(table)
    assert len(rows) == len(NAMES)
    assert all(isinstance(stamp, Stamp) for stamp in rows)
