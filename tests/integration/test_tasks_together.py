"""Both tasks on one command line: each job is composed, checked and compared under its own task.

What the jobs do is tested task by task; here they are counted only, since what makes one task small the other refuses.
"""

import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from dcase_sweep import runner
from dcase_sweep.cli import main as experiment
from dcase_sweep.config import Experiment
from dcase_sweep.tasks.columns import list_columns

RESULTS = {"1a": {"test/accuracy": 0.4}, "4": {"test/teacher/psds_score_scenario1": 0.35}}


@pytest.mark.parametrize("jobs", ["task=1a,4", "model=baseline_cnn,crnn_meanteacher"])
def test_each_job_has_its_task(
    jobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[tuple[str, str, str, int]] = []

    def note(checked: Experiment, job: runner.Job, *_: object) -> runner.Result:
        classes = (group._target_.rpartition(".")[2] for group in (checked.model, checked.data))
        ran.append((checked.task.name, *classes, checked.training.epochs))
        metrics = RESULTS[checked.task.name]
        columns = list_columns(checked, metrics)
        return runner.Result("finished", job.name, str(job.folder), metrics=metrics, columns=columns)

    monkeypatch.setattr(runner, "run", note)
    monkeypatch.setattr(sys, "argv", ["dcase_sweep"])
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()

    code = experiment.main(["-m", jobs, "training.epochs=1", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"])

    assert code == 0
    assert ran == [("1a", "CNN", "DemoScenes", 1), ("4", "CRNN", "DemoSoundscapes", 1)]
    lines = capsys.readouterr().out.splitlines()
    (header,) = [place for place, line in enumerate(lines) if line.startswith(jobs.partition("=")[0] + " ")]
    assert lines[header].endswith("accuracy %  PSDS 1  seconds")
    assert [line.split()[-3:-1] for line in lines[header + 2 : header + 4]] == [["40.0", "-"], ["-", "0.350"]]
