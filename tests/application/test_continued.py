"""Which jobs of an interrupted sweep go on from where, and in which folder."""

from pathlib import Path

import pytest
import torch

from dcase_sweep.application.continued import (
    Continues,
    check_ended,
    choose_continuation,
    continue_jobs,
    find_results,
)
from dcase_sweep.config import Experiment, flatten
from dcase_sweep.result import Result
from dcase_sweep.runner.folder import write_result
from dcase_sweep.utils import leases
from dcase_sweep.utils.errors import UserError
from tests.composing import composed

PARENT = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def jobs() -> list[Experiment]:
    return [composed("training.epochs=9", f"seed={seed}") for seed in range(3)]


def write_last(folder: Path, experiment: Experiment, epoch: int = 3, **changed: object) -> None:
    """``last.ckpt`` as a job of a sweep leaves it."""
    (folder / "checkpoints").mkdir(parents=True)
    flat = flatten(experiment) | {"tracking.parent": PARENT, **changed}
    content = {"state_dict": {}, "epoch": epoch, "dcase_sweep": {"configuration": flat, "run_id": "r"}}
    torch.save(content, folder / "checkpoints/last.ckpt")


def test_jobs_are_found_by_their_configuration(jobs: list[Experiment], tmp_path: Path) -> None:
    write_last(tmp_path / "0", jobs[2])
    (tmp_path / "1").mkdir()  # begun and ended before its first epoch was over

    found = continue_jobs(jobs, tmp_path)

    assert found.record_id == PARENT
    assert [list(words) for words in found.jobs] == [
        ["hydra.sweep.subdir=3"],  # the folder 0 is that of another job
        ["hydra.sweep.subdir=1"],
        [f"resume='{tmp_path}/0'", "hydra.sweep.subdir='0'"],
    ]


def test_the_attempt_that_came_further_goes_on(jobs: list[Experiment], tmp_path: Path) -> None:
    write_last(tmp_path / "0", jobs[0], epoch=7)
    write_last(tmp_path / "5", jobs[0], epoch=2)

    assert continue_jobs(jobs, tmp_path).jobs[0] == [f"resume='{tmp_path}/0'", "hydra.sweep.subdir='0'"]


def test_other_settings_than_those_of_the_folder_are_refused(jobs: list[Experiment], tmp_path: Path) -> None:
    write_last(tmp_path / "1", jobs[1], **{"training.epochs": 20})

    with pytest.raises(
        UserError, match=r"1/checkpoints/last\.ckpt: .*\(training\.epochs was 20, is 9\); expected that of a"
    ):
        continue_jobs(jobs, tmp_path)


def test_a_damaged_checkpoint_is_named(jobs: list[Experiment], tmp_path: Path) -> None:
    (tmp_path / "0/checkpoints").mkdir(parents=True)
    (tmp_path / "0/checkpoints/last.ckpt").write_bytes(b"PK")

    with pytest.raises(UserError, match=r"last\.ckpt: not a checkpoint .*; remove it, so that the job starts again"):
        continue_jobs(jobs, tmp_path)


def test_a_sweep_that_is_running_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").touch()
    leases.hold(tmp_path / "multirun.yaml")
    try:
        with pytest.raises(UserError, match="the sweep is still running"):
            check_ended(tmp_path, Continues.NAMED)
    finally:
        leases.release(tmp_path / "multirun.yaml")


@pytest.mark.parametrize(("restarts", "expected"), [("0", Continues.FOUND), ("2", Continues.REQUEUED)])
def test_a_sweep_in_the_folder_of_another_continues_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: str, expected: Continues
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    assert choose_continuation(None, tmp_path) is None

    (tmp_path / "multirun.yaml").touch()

    assert choose_continuation(None, tmp_path) is expected
    assert choose_continuation(tmp_path, tmp_path) is Continues.NAMED


def test_another_sweep_in_the_same_folder_overwrites_nothing(
    jobs: list[Experiment], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dcase_sweep")
    write_last(tmp_path / "0", jobs[0], **{"training.epochs": 20})
    write_last(tmp_path / "1", jobs[1])
    write_last(tmp_path / "2", jobs[2], epoch=8)
    write_result(jobs[2], Result("finished", "job", str(tmp_path / "2")))

    found = continue_jobs(jobs, tmp_path, Continues.FOUND)

    assert [list(words) for words in found.jobs] == [
        ["hydra.sweep.subdir=3"],
        [f"resume='{tmp_path}/1'", "hydra.sweep.subdir='1'"],
        ["hydra.sweep.subdir=4"],  # it has finished, and nobody has requeued it
    ]
    first, second = caplog.messages
    assert first.endswith("has jobs of an earlier command: 1 finished, 1 continued from the last epoch")
    assert "1 checkpoint of other jobs there stay; no job of this sweep uses their folders: " in second
    assert "training.epochs was 20, is 9" in second


def test_the_results_of_a_requeued_sweep_are_read_from_its_folder(jobs: list[Experiment], tmp_path: Path) -> None:
    done = Result("finished", "seed 1", str(tmp_path / "1"), "r", {"test/accuracy": 0.5}, 3.0, note="synthetic")
    write_result(jobs[1], done)
    (tmp_path / "0/checkpoints").mkdir(parents=True)
    (tmp_path / "0/checkpoints/result.json").write_text("[]")

    first, second, third = find_results(jobs, tmp_path)

    assert (first, third) == (None, None)
    assert second is not None
    name, outcome = second
    assert name == "seed 1 · r"
    assert (outcome.status, outcome.metrics, outcome.note) == ("finished", {"test/accuracy": 0.5}, "synthetic")
