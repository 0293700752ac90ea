"""The last epoch of a trial from the artifacts of its run, for a machine that has no folder of it."""

import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dcase_sweep import tracking
from dcase_sweep.application.experiments import Experiments
from dcase_sweep.config import Experiment
from dcase_sweep.sweep.job import PreparedJob
from tests.application.test_continued import write_last
from tests.composing import composed


@pytest.fixture
def experiment(mlruns: Path) -> Experiment:
    return composed("training.epochs=9", f"tracking.folder={mlruns}")


def prepared(experiment: Experiment, folder: Path) -> PreparedJob:
    config = OmegaConf.create({"resume": None, "hydra": {"sweep": {"dir": str(folder), "subdir": "7"}}})
    return PreparedJob(config, experiment)


def test_a_logged_checkpoint_is_copied_to_the_folder_of_the_retry(experiment: Experiment, tmp_path: Path) -> None:
    run = tracking.start_run(experiment.tracking, name="trial 3", tags={})
    write_last(tmp_path / "3", experiment)
    run.log_file(tmp_path / "3/checkpoints/last.ckpt", "checkpoints")
    run.end("KILLED")
    whole = (tmp_path / "3/checkpoints/last.ckpt").read_bytes()
    shutil.rmtree(tmp_path / "3")  # it is on another machine

    folder = Experiments().fetch_attempt(prepared(experiment, tmp_path / "sweep"), run.id)

    assert folder == str(tmp_path / "sweep/7")
    assert Path(folder, "checkpoints/last.ckpt").read_bytes() == whole


def test_nothing_is_fetched_from_a_run_without_one(experiment: Experiment, tmp_path: Path) -> None:
    run = tracking.start_run(experiment.tracking, name="trial 3", tags={})
    run.end("KILLED")
    job = prepared(experiment, tmp_path / "sweep")

    assert [Experiments().fetch_attempt(job, each) for each in (run.id, "0" * 32, "../x")] == [None] * 3
    assert not (tmp_path / "sweep").exists()
