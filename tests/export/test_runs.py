"""Identification of a run by ID, folder or checkpoint, and runs that cannot be exported."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dcase_sweep import tracking
from dcase_sweep.config import Tracking, flatten, plain, unflatten
from dcase_sweep.export.network import scoring_network
from dcase_sweep.export.runs import TrainedRun, find_trained_run
from dcase_sweep.utils.errors import UserError


@pytest.fixture
def where(mlruns: Path) -> dict[str, str]:
    return {"tracking.folder": str(mlruns), "data.root": "/tau"}


def logged(mlruns: Path, checkpoint: Path | None, *, status: str = "FINISHED", **parameters: str) -> str:
    """The id of a run as training logs one."""
    made = tracking.start_run(Tracking(folder=str(mlruns)), name="baseline_cnn", tags={})
    made.log_parameters(parameters)
    if checkpoint is not None:
        made.log_file(checkpoint / "checkpoints/best.ckpt", "checkpoints")
    made.end(status)
    return made.id


def test_a_configuration_is_restored_from_its_flat_form(run: TrainedRun) -> None:
    restored = unflatten(flatten(run.experiment))

    assert restored["model"] == plain(run.experiment.model)
    assert restored["front_end"] == plain(run.experiment.front_end)
    assert restored["tracking"]["varying"] == []


def test_an_id_gives_configuration_and_weights(
    checkpoint: Path, mlruns: Path, run: TrainedRun, where: dict[str, str]
) -> None:
    run_id = logged(mlruns, checkpoint)

    found = find_trained_run(run_id, {**where, "data.root": "/elsewhere"})

    assert (found.id, found.model, found.folder) == (run_id, "baseline_cnn", None)
    assert found.experiment.data.root == "/elsewhere"
    assert plain(found.experiment.model) == plain(run.experiment.model)
    assert torch.equal(found.state["mean"], run.state["mean"])


def test_the_first_letters_of_an_id_are_enough_where_they_are_of_one_run(
    checkpoint: Path, mlruns: Path, where: dict[str, str]
) -> None:
    run_id = logged(mlruns, checkpoint)
    others = [logged(mlruns, None) for _ in range(3)]
    count = next(n for n in range(4, 33) if not any(other.startswith(run_id[:n]) for other in others))

    assert find_trained_run(run_id[:count], where).id == run_id
    with pytest.raises(UserError, match=f"^run={run_id[:3]}: no such run"):
        find_trained_run(run_id[:3], where)
    with pytest.raises(UserError, match=r"^run=____: no such run"):
        find_trained_run("____", where)  # a pattern in a query


def test_letters_of_two_runs_are_not_enough(mlruns: Path, where: dict[str, str], monkeypatch: Any) -> None:
    ids = [logged(mlruns, None) for _ in range(2)]
    monkeypatch.setattr("dcase_sweep.tracking.find_ids", lambda tracking, start: ids)

    with pytest.raises(UserError, match=f"^run=abcd: {ids[0]}, {ids[1]} begin so; expected more letters of one id"):
        find_trained_run("abcd", where)


def test_a_folder_and_a_file_give_the_same(checkpoint: Path, where: dict[str, str], run: TrainedRun) -> None:
    by_folder, by_file = (
        find_trained_run(str(path), where) for path in (checkpoint, checkpoint / "checkpoints/best.ckpt")
    )

    assert by_folder.folder == by_file.folder == checkpoint
    assert by_folder.id == run.id
    assert by_folder.logged is None


def test_a_run_that_was_trained_on_a_gpu_is_exported_here(checkpoint: Path, where: dict[str, str]) -> None:
    path = checkpoint / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    content["dcase_sweep"]["configuration"] |= {"hardware.accelerator": "gpu", "hardware.precision": "16-mixed"}
    content["dcase_sweep"]["configuration"]["store.root"] = "/on/another/machine"
    torch.save(content, path)

    found = find_trained_run(str(checkpoint), where).experiment

    assert (found.hardware.accelerator, found.hardware.precision) == ("cpu", "32-true")
    assert found.store.root != "/on/another/machine"


@pytest.mark.parametrize(
    ("status", "parameters", "says"),
    [
        ("KILLED", {}, "baseline_cnn is killed; expected a finished run"),
        ("FINISHED", {"task.kind": "events", "task.name": "4"}, "a run of task 4; expected one of task 1a"),
        (
            "FINISHED",
            {"task._target_": "dcase_sweep.tasks.sound_event_detection.SoundEventDetection", "task.name": "4"},
            "a run of task 4; expected one of task 1a",
        ),
        ("FINISHED", {}, "no artifact checkpoints/best.ckpt"),
    ],
)
def test_runs_that_cannot_be_exported_are_rejected(
    status: str, parameters: dict[str, str], says: str, mlruns: Path, where: dict[str, str]
) -> None:
    run_id = logged(mlruns, None, status=status, **parameters)

    with pytest.raises(UserError, match=rf"^run={run_id}: {says}"):
        find_trained_run(run_id, where)


def test_an_unknown_id_is_rejected_and_no_store_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    with pytest.raises(UserError, match=r"^run=abc: no such run in sqlite:///mlruns/mlflow\.db"):
        find_trained_run("abc", {})
    assert not (tmp_path / "mlruns").exists()


def test_other_files_and_keys_are_rejected(checkpoint: Path, where: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "empty").mkdir()

    with pytest.raises(UserError, match=r"text\.ckpt: not a checkpoint of this project"):
        find_trained_run(str(tmp_path / "text.ckpt"), where)
    with pytest.raises(UserError, match=r"no checkpoints/best\.ckpt there"):
        find_trained_run(str(tmp_path / "empty"), where)
    with pytest.raises(UserError, match=r"^model\.depth: the run's own"):
        find_trained_run(str(checkpoint), {**where, "model.depth": "2"})
    with pytest.raises(UserError, match=r"^data\.rot: no such key; did you mean data\.root\?"):
        find_trained_run(str(checkpoint), {**where, "data.rot": "/x"})


def test_weights_for_other_scenes_are_rejected(run: TrainedRun) -> None:
    with pytest.raises(
        UserError, match=r"its weights do not fit baseline_cnn for 10 scenes .*; expected the data that"
    ):
        scoring_network(run, classes=10)
