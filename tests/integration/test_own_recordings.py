"""Own recordings, from their folder to results: cross-validation, events without weak labels, public layouts."""

import csv
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY, UNDRAWN, CommandLine
from tests.folder_layouts import make_desed_like, make_esc50, make_events, make_urbansound8k
from tests.layout import read_table

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/own-recordings.md"


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "comparison.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def accuracy_of(folders: list[Path]) -> float:
    """Macro accuracy of all test clips, from the files of the runs."""
    hits: dict[str, list[bool]] = {}
    for folder in folders:
        truth = {row["filename"]: row["scene_label"] for row in read_table(folder / "reference.csv")}
        for row in read_table(folder / "scores.csv"):
            label = truth[row["filename"]]
            hits.setdefault(label, []).append(row["scene_label"] == label)
    return sum(sum(each) / len(each) for each in hits.values()) / len(hits)


def compared_rows(command_line: CommandLine) -> list[dict[str, str]]:
    """The rows that ``compare`` writes."""
    command_line("compare", "--out", "compared", "--resamples", "100")
    with (command_line.folder / "compared/comparison.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_over_folds_ends_with_a_pooled_row(command_line: CommandLine) -> None:
    root = make_esc50(command_line.folder / "ESC-50-master")
    words = ["-m", "data=folder", f"data.root={root}", *TINY, "training.epochs=1", "hydra.sweep.dir=folds"]

    command_line(*words, "data.fold=1,2")
    output = command_line(*words, "data.fold=1,2,3", "hydra.sweeper.skip_finished=true")

    assert "ESC-50-master: 7 train, 1 validation, 2 test clips, 2 classes" in output
    assert "labels    meta/esc50.csv: filename, label = category, group = src_file, fold" in output
    assert output.count("skipped ") == 2
    assert re.search(r"^pooled +\d", output, re.MULTILINE)
    rows = read_rows(command_line.folder / "folds")
    assert [row["data.fold"] for row in rows] == ["1", "2", "3", "pooled"]
    stored = [path.parent for path in (command_line.folder / "mlruns").rglob("reference.csv")]
    assert len(stored) == 3
    assert float(rows[-1]["test/accuracy mean"]) == pytest.approx(accuracy_of(stored))
    assert "6 clips, 2 classes" in (command_line.folder / "folds/pooled.txt").read_text()
    (compared,) = compared_rows(command_line)  # the folds of both sweeps
    assert (compared["system"], compared["runs"]) == ("baseline_cnn", "1")
    assert float(compared["test/accuracy mean"]) == pytest.approx(float(rows[-1]["test/accuracy mean"]))
    assert float(compared["test/f1 mean"]) == pytest.approx(float(rows[-1]["test/f1 mean"]))
    assert "3 of 3 jobs finished" in output


def test_events_without_weak_labels_are_learned(command_line: CommandLine) -> None:
    root = make_events(command_line.folder / "events")
    words = ["task=4", "data=folder", f"data.root={root}", "data.seconds=1", "training.epochs=1"]
    words += ["hardware.threads=1", UNDRAWN]

    refused = command_line(*words, code=1)
    fitting = ["mean_teacher.strong=3", "mean_teacher.weak=0", "mean_teacher.unlabelled=0", "evaluation.thresholds=5"]
    output = command_line("-m", *words, *fitting, "data.folds=5", "data.fold=1,2", "hydra.sweep.dir=folds")

    assert "error: mean_teacher.strong=12: only 7 clips, mean_teacher.weak=12: only 0 clips" in refused
    assert "as mean_teacher.strong=7 mean_teacher.weak=0 mean_teacher.unlabelled=0" in refused
    assert "events: 7 strong, 0 weak, 0 unlabelled, 1 strong and 0 weak validation, 2 test clips, 2 classes" in output
    assert "PSDS 1 (exact times)" in output
    rows = read_rows(command_line.folder / "folds")
    assert [row["data.fold"] for row in rows] == ["1", "2", "pooled"]
    assert all(row["test/student/psds_score_scenario1 mean"] for row in rows)
    assert "4 of 4 clips" in (command_line.folder / "folds/pooled.txt").read_text()
    (compared,) = [row for row in compared_rows(command_line) if row["task"] == "4"]
    for name in ("psds1", "psds2", "f1"):
        assert float(compared[f"test/{name} mean"]) == pytest.approx(float(rows[-1][f"test/{name} mean"]))


def commands_of(data_set: str) -> list[list[str]]:
    """The three commands that the documentation has for a data set, without its folder."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if f"/path/to/{data_set}" in line]
    return [shlex.split(line.replace(f" data.root=/path/to/{data_set}", ""))[3:] for line in lines]


@pytest.mark.parametrize(
    ("data_set", "make", "more"),
    [
        ("ESC-50-master", make_esc50, ["training.batch_size=4"]),
        ("UrbanSound8K", make_urbansound8k, ["training.batch_size=4", "data.fold=1,10"]),
        ("DESED", make_desed_like, ["mean_teacher.strong=2", "mean_teacher.weak=1", "mean_teacher.unlabelled=1"]),
    ],
)
def test_the_three_commands_of_the_documentation(
    command_line: CommandLine, data_set: str, make: Callable[[Path], Path], more: list[str]
) -> None:
    root = make(command_line.folder / data_set)
    inspect, single, sweep = commands_of(data_set)
    short = [f"data.root={root}", "training.epochs=1", "hardware.threads=1", UNDRAWN, *more]

    assert "wrote inspect.html" in command_line(*inspect, f"data.root={root}")
    fold = [word for word in short if not word.startswith("data.fold=")]
    assert f"{data_set}: " in command_line(*single, *fold)
    if "task=4" in sweep:  # the same with other seeds
        return
    words = [word for word in sweep if not word.startswith("data.fold=range")]
    output = command_line(*words, *short)
    assert re.search(r"^pooled ", output, re.MULTILINE), output
