"""Task 4 through the real command line."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from dcase_sweep.data.events import DESED_CLASSES
from tests.conftest import DRAWN, UNDRAWN, CommandLine
from tests.desed_layout import VALIDATION_AUDIO, make_desed, recording
from tests.integration.test_experiment import client, run_folder
from tests.integration.test_interruption import wait_for_checkpoint

#: A mean teacher that trains in a second.
SMALL = (
    UNDRAWN,
    "model=crnn_meanteacher",
    "model.filters=[4,8]",
    "model.pools=[[8,2],[8,2]]",
    "model.recurrent_units=8",
    "front_end.n_mels=64",
    "data.seconds=1",
    "mean_teacher.strong=2",
    "mean_teacher.weak=2",
    "mean_teacher.unlabelled=2",
    "training.epochs=2",
)


@pytest.fixture(scope="module")
def small(command_line: CommandLine) -> Callable[..., list[str]]:
    """Overrides for a mean teacher on a tiny data set, with more appended."""
    root = make_desed(command_line.folder / "desed")
    return lambda *more: ["data=desed", f"data.root={root}", *SMALL, *more]


@pytest.fixture(scope="module")
def output(command_line: CommandLine, small: Callable[..., list[str]]) -> str:
    return command_line(*small("metrics=macro_f1", DRAWN))


def test_the_headline_is_printed_and_the_published_keys_are_in_a_file(output: str, command_line: CommandLine) -> None:
    assert "task 4, crnn_meanteacher on desed" in output
    assert "KiB at 16 bit, " in output  # no word of the limit of task 1A
    header = next(line for line in output.splitlines() if line.startswith("metric "))
    assert header.split() == ["metric", "student", "teacher", "classes"]
    written = (run_folder(output, command_line.folder) / "events.txt").read_text()
    for network in ("student", "teacher"):
        for key in (
            "event_f1_macro",
            "intersection_f1_macro",
            "loss_strong",
            "psds_score_scenario1",
            "psds_score_scenario2",
        ):
            assert re.search(rf"^test/{network}/{key} +\d\.\d{{4}}$", written, re.MULTILINE), key


def test_mlflow_holds_curves_and_clips(output: str, command_line: CommandLine) -> None:
    store, experiment = client(command_line.folder)

    (run,) = store.search_runs([experiment])  # type: ignore[attr-defined]

    assert {
        "validation/weak_f1",
        "validation/teacher_weak_f1",
        "train/teacher_loss_weak",
        "train/learning_rate",
        "validation/macro_f1",
        "test/teacher/macro_f1",
    } <= set(run.data.metrics)
    assert not any("within" in name for name in run.data.metrics)
    artifacts = {item.path for item in store.list_artifacts(run.info.run_id)}  # type: ignore[attr-defined]
    assert {"student_psd_roc.png", "teacher_psd_roc.png", "teacher_class_f1.png", "teacher_clip0.png"} <= artifacts


@pytest.fixture(scope="module")
def incomplete(output: str, command_line: CommandLine, small: Callable[..., list[str]]) -> str:
    """A run without one of the validation clips, all much shorter than the network's input, a filter for each class."""
    root = make_desed(command_line.folder / "incomplete")
    (root / VALIDATION_AUDIO / recording("v", 1)).unlink()
    filters = ",".join(f"{label}:{3 + 2 * place}" for place, label in enumerate(DESED_CLASSES))
    more = ("training.epochs=1", "data.seconds=5", f"mean_teacher.median_filter={{{filters}}}")
    return command_line(*small(f"data.root={root}", *more))


def test_clips_far_shorter_than_the_networks_input_are_evaluated(incomplete: str) -> None:
    assert "26 padded" in incomplete
    assert re.search(r"^collar F1( +[\d.]+ % \*){2} ", incomplete, re.MULTILINE)


def test_a_filter_for_each_class_is_logged(incomplete: str, command_line: CommandLine) -> None:
    store, experiment = client(command_line.folder)
    newest, *_ = store.search_runs([experiment])  # type: ignore[attr-defined]

    lengths = [newest.data.params[f"mean_teacher.median_filter.{label}"] for label in DESED_CLASSES]

    assert lengths == [str(3 + 2 * place) for place in range(10)]


def test_a_run_without_some_validation_clips_is_marked_everywhere(incomplete: str, command_line: CommandLine) -> None:
    lines = incomplete.splitlines()

    (missing,) = [line for line in lines if line.startswith("missing ")]
    assert missing.endswith(f"metadata/validation/validation.tsv, row 3: {recording('v', 1)}")
    table = [line for line in lines if line.endswith(" of 10")]
    assert [line.count(" *") for line in table] == [2] * 5
    assert any(line.startswith("* measured on 3 of 4 clips (75.0 %) only") for line in lines)
    written = (run_folder(incomplete, command_line.folder) / "events.txt").read_text().splitlines()
    assert all(line.endswith(" *") for line in written if line.startswith("test/"))
    assert "* scored on 3 of 4 clips (75.0 %)" in written
    store, experiment = client(command_line.folder)
    newest, *_, whole = store.search_runs([experiment])  # type: ignore[attr-defined]
    assert newest.data.metrics["coverage/validation"] == 0.75
    assert (newest.data.metrics["test/clips_scored"], newest.data.metrics["test/clips_listed"]) == (3, 4)
    assert newest.data.tags["dcase_sweep.incomplete"].startswith("scored on 3 of 4 clips")
    assert "scored on 3 of 4 clips" in newest.data.tags["mlflow.note.content"]
    assert whole.data.metrics["coverage/validation"] == 1
    assert "dcase_sweep.incomplete" not in whole.data.tags


def test_interrupted_and_resumed_equals_uninterrupted(
    command_line: CommandLine, small: Callable[..., list[str]]
) -> None:
    arguments = small("training.epochs=12", "mean_teacher.frame_shift=20", "mean_teacher.filter_augment=6")
    whole = run_folder(command_line(*arguments), command_line.folder)
    known = set(command_line.folder.rglob("last.ckpt"))

    process = command_line.start(*arguments)
    wait_for_checkpoint(command_line.folder, known)
    os.kill(process.pid, signal.SIGTERM)
    interrupted, _ = process.communicate(timeout=60)
    command = re.search(r"to continue: python -m dcase_sweep (.*)", interrupted)
    assert process.returncode == 143, interrupted
    assert command, interrupted
    resumed = run_folder(command_line(*command[1].replace("'", "").split()), command_line.folder)

    assert (resumed / "teacher.csv").read_text() == (whole / "teacher.csv").read_text()
    assert (resumed / "student.csv").read_text() == (whole / "student.csv").read_text()


def test_a_task_alone_chooses_its_model_and_tasks_can_be_swept(command_line: CommandLine) -> None:
    assert "crnn.CRNN" in command_line("task=4", "--cfg", "job")
    assert "cnn.CNN" in command_line("task=1a", "--cfg", "job")

    refused = command_line("task=1a", "model=crnn_meanteacher", code=1)

    assert "model CRNN is for events, but task=1a is for scenes" in refused


def test_seeds_are_trained_together_with_the_results_of_lone_ones(
    output: str, command_line: CommandLine, small: Callable[..., list[str]]
) -> None:
    more = ("metrics=macro_f1", "hydra.sweep.dir=together", "mean_teacher.consistency_weight=1,2.0")

    said = command_line("-m", *small("seed=0,1", "hydra/launcher=fused", *more))

    assert "together  4 jobs of one architecture: #0, #1, #2, #3" in said
    assert "4 of 4 jobs finished" in said
    store, experiment = client(command_line.folder)
    runs = store.search_runs([experiment], "params.seed = '0'")  # type: ignore[attr-defined]
    found = {
        float(run.data.params["mean_teacher.consistency_weight"]): run.data.metrics
        for run in runs
        if "mlflow.parentRunId" in run.data.tags
    }
    (lone,) = [run.data.metrics for run in runs if run.info.run_id in output]
    timed = {name for name in lone if name.startswith(("time/", "speed/"))}
    assert {name: value for name, value in found[2.0].items() if name not in timed} == {
        name: value for name, value in lone.items() if name not in timed
    }
    assert found[1.0]["train/loss"] != lone["train/loss"]
    assert (command_line.folder / "together/0/checkpoints/last.ckpt").is_file()
