"""The trainings in processes of their own with which those in one process are compared, without any network."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcase_sweep.utils.gpus import SHARE, VISIBLE
from tests.benchmarks.fused_trainings import time_processes

#: Seconds of the first epoch of each seed, and of the others.
FIRST, OTHER = (0.0, 1.5), 0.1
EPOCHS = 3


@dataclass(frozen=True)
class Waiting:
    """Learners that wait in place of training.

    Attributes:
        device: that of the trainings.
        folder: a file is written there for each seed.
        failing: the seed that fails, if any.
    """

    device: str
    folder: Path
    failing: int | None = None

    def make(self, seed: int, more: Sequence[str] = ()) -> "WaitingLearner":
        (self.folder / f"{seed}").write_text(f"{os.getpid()} {os.environ.get(SHARE)} {' '.join(more)}")
        if seed == self.failing:
            raise SystemExit(3)
        return WaitingLearner(seed)


@dataclass(frozen=True)
class WaitingLearner:
    seed: int

    def fit(self, folder: Path, *, extra: dict[str, object], on_epoch: Callable[[int, dict[str, float]], None]) -> None:
        time.sleep(FIRST[self.seed])
        for epoch in range(EPOCHS):
            on_epoch(epoch, {})
            time.sleep(OTHER)


def test_all_begin_their_second_epoch_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setenv("PATH", str(tmp_path))  # without MPS

    seconds, how = time_processes(Waiting("cuda", tmp_path), 2, tmp_path)  # type: ignore[arg-type]

    assert OTHER <= seconds < OTHER + FIRST[1] / (EPOCHS - 1), "the first epoch is not counted"
    assert how.startswith("nvidia-cuda-mps-control is not on the PATH")
    written = [(tmp_path / f"{seed}").read_text().split() for seed in (0, 1)]
    assert [words[1:] for words in written] == [["0/1/2"], ["0/1/2"]]
    assert len({str(os.getpid()), *(words[0] for words in written)}) == 3


def test_one_that_fails_ends_all(tmp_path: Path) -> None:
    began = time.monotonic()

    with pytest.raises(SystemExit, match="a training in a process of its own failed with exit code 3"):
        time_processes(Waiting("cpu", tmp_path, failing=1), 2, tmp_path)  # type: ignore[arg-type]

    assert time.monotonic() - began < 60
    assert (tmp_path / "0").read_text().split()[2].startswith("hardware.threads=")
