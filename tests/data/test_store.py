"""The feature store: sharing, continuation after a kill, repair after damage."""

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from dcase_sweep.data.store import FeatureStore, open_store
from dcase_sweep.data.store import opening as store_module
from dcase_sweep.utils.errors import UserError

NAMES = [f"clip{number}.wav" for number in range(8)]


class Loudness:
    """A front end with a simple result: the mean square of each tenth of a clip."""

    sample_rate = 8000
    seconds = 0.1
    padding = "repeat"
    shape = (1, 10)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        return waveforms.reshape(len(waveforms), 1, 10, 80).square().mean(dim=3)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Let each test start without cached stores, like a new process."""
    forget()
    yield
    forget()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    (tmp_path / "audio").mkdir()
    for name in NAMES:
        soundfile.write(tmp_path / "audio" / name, rng.uniform(-0.5, 0.5, 800), 8000, subtype="PCM_24")
    return tmp_path / "audio"


def forget() -> None:
    store_module._verified.clear()
    store_module._contents.clear()


def reopen(root: Path, names: list[str] = NAMES, **more: Any) -> FeatureStore:
    forget()
    settings = {"configuration": {"what": "loudness"}, "store_root": root.parent / "store", "workers": 2, **more}
    return open_store(root, names, Loudness(), **settings)


def expected(root: Path, name: str) -> np.ndarray:
    samples, _ = soundfile.read(root / name, dtype="float32")
    return (samples.reshape(10, 80) ** 2).mean(axis=1)


def test_features_are_computed_once(root: Path) -> None:
    first, second = reopen(root), reopen(root)

    assert (first.computed, second.computed) == (8, 0)
    for row, name in enumerate(NAMES):
        np.testing.assert_allclose(second.features[row, 0], expected(root, name), rtol=1e-5)


def test_another_front_end_has_another_store(root: Path) -> None:
    reopen(root)

    assert reopen(root, configuration={"what": "else"}).computed == 8


def test_a_changed_file_is_computed_again_and_the_others_are_kept(root: Path) -> None:
    reopen(root)
    soundfile.write(root / NAMES[3], np.full(800, 0.25), 8000, subtype="PCM_24")

    changed = reopen(root)

    assert changed.computed == 1
    np.testing.assert_allclose(changed.features[3, 0], 0.0625, rtol=1e-5)


def test_a_longer_list_reuses_stored_features(root: Path) -> None:
    reopen(root, NAMES[:5])

    assert reopen(root).computed == 3


@pytest.mark.parametrize("damage", ["flip a byte", "cut the features", "cut the index", "no checksums", "garbage"])
def test_damage_is_detected_and_repaired(root: Path, damage: str) -> None:
    whole = reopen(root)
    healthy = np.array(whole.features)
    if damage == "flip a byte":
        with (whole.path / "features.npy").open("r+b") as handle:
            handle.seek(-5, os.SEEK_END)
            handle.write(b"\xff")
    elif damage == "cut the features":
        os.truncate(whole.path / "features.npy", 200)
    elif damage == "cut the index":
        os.truncate(whole.path / "store.json", 30)
    elif damage == "no checksums":
        (whole.path / "checksums.npy").unlink()
    else:
        (whole.path / "features.npy").write_bytes(b"garbage")
    notes: list[str] = []

    mended = reopen(root, on_note=notes.append)

    assert np.array_equal(mended.features, healthy)
    # The first clip lies before the cut, so it is still right.
    assert mended.computed == {"flip a byte": 1, "cut the index": 0, "cut the features": 7}.get(damage, 8)
    if damage != "cut the index":
        assert "damaged" in notes[0]


def test_a_killed_build_is_continued(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        reopen(root, on_progress=kill)
    folder = next(path for path in (root.parent / "store").rglob("features.npy")).parent
    assert not (folder / "store.json").exists()

    finished = reopen(root)

    assert finished.computed == 3
    for row, name in enumerate(NAMES):
        np.testing.assert_allclose(finished.features[row, 0], expected(root, name), rtol=1e-5)


def build_and_count(root: str, queue: Any) -> None:
    torch.set_num_threads(1)  # more of them do not outlive a fork
    queue.put(reopen(Path(root)).computed)


def test_processes_that_start_together_build_once(root: Path) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=build_and_count, args=(str(root), queue)) for _ in range(3)]
    for process in processes:
        process.start()
    counts = sorted(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()

    assert counts == [0, 0, 8]


def test_problems_are_collected_and_the_valid_clips_kept(root: Path) -> None:
    soundfile.write(root / NAMES[1], np.zeros(800), 8000)
    (root / NAMES[6]).write_text("no audio")

    built = reopen(root)
    again = reopen(root)

    assert [Path(problem.split(":")[0]).name for problem in built.problems] == [NAMES[1], NAMES[6]]
    assert again.problems == built.problems
    assert again.computed == 0
    assert np.flatnonzero(~built.valid).tolist() == [1, 6]
    np.testing.assert_allclose(built.features[2, 0], expected(root, NAMES[2]), rtol=1e-5)


def test_padded_and_cut_clips_are_counted(root: Path) -> None:
    soundfile.write(root / NAMES[0], np.full(500, 0.1), 8000)
    soundfile.write(root / NAMES[1], np.full(900, 0.1), 8000)
    soundfile.write(root / NAMES[2], np.full(1600, 0.1), 16_000)

    built = reopen(root)

    assert [built.count(what) for what in ("padded", "cut", "resampled")] == [1, 1, 1]


def test_a_file_that_could_not_be_read_stays_a_problem_without_the_index(root: Path) -> None:
    (root / NAMES[6]).write_text("no audio")
    (reopen(root).path / "store.json").write_text("{")

    again = reopen(root)

    assert np.flatnonzero(~again.valid).tolist() == [6]


def test_a_clip_without_an_entry_is_computed_again(root: Path) -> None:
    path = reopen(root).path
    (path / "store.json").unlink()
    lines = (path / "states.jsonl").read_text().splitlines()
    (path / "states.jsonl").write_text("\n".join(lines[:5]) + '\n[5, {"pad')

    assert reopen(root).computed == 3


def test_the_fingerprint_does_not_depend_on_the_folder(root: Path, tmp_path: Path) -> None:
    before = reopen(root).fingerprint
    copy = tmp_path / "elsewhere/audio"
    copy.mkdir(parents=True)
    for name in NAMES:
        shutil.copyfile(root / name, copy / name)  # at another time, too
    copied = reopen(copy).fingerprint
    samples, _ = soundfile.read(root / NAMES[2])
    samples[401] += 0.01
    soundfile.write(root / NAMES[2], samples, 8000, subtype="PCM_24")
    changed = reopen(root).fingerprint
    soundfile.write(root / NAMES[2], samples[::-1], 8000, subtype="PCM_24")

    assert before == copied
    assert len({before, changed, reopen(root).fingerprint}) == 3


def test_a_full_disk_is_reported_in_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 100, 2**20))

    with pytest.raises(UserError, match=r"1 MiB free, 64 MiB needed.*set store.root"):
        reopen(root)


def test_a_store_that_cannot_be_written_is_reported_in_one_line(root: Path) -> None:
    (root.parent / "file").write_text("")

    with pytest.raises(UserError, match=r"feature store cannot be written; set store\.root to a writable folder"):
        reopen(root, store_root=root.parent / "file")
