"""``compare``: selection of runs, output, files and errors."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcase_sweep import tracking
from dcase_sweep.__main__ import main
from dcase_sweep.config import Tracking
from dcase_sweep.evaluation.metrics import MacroF1
from dcase_sweep.evaluation.scenes.result import evaluate_scene_scores


def log_scenes(settings: Tracking, model: str, seed: int, quality: float, **changes: Any) -> None:
    """Log a run on 60 clips, with other ``names``, ``classes`` or ``order`` of them."""
    job = tracking.start_run(settings, name=model, tags={})
    job.log_parameters({"task": "1a", "task.name": "1a", "model": model, "seed": seed})
    names, order = changes.get("names", "{}.wav"), changes.get("order", np.arange(60))
    classes = changes.get("classes", ["bus", "park", "tram"])
    truth = np.arange(60) % len(classes)
    scores = np.random.default_rng(seed).random((60, len(classes)))
    scores[np.arange(60), truth] += quality * 0.2
    result = evaluate_scene_scores(
        scores[order],
        truth[order],
        classes=classes,
        devices=["a", "s1"] * 30,
        filenames=[names.format(index) for index in order],
    )
    job.log_metrics({name: value for name, value in result.metrics.items() if result.is_logged(name)})
    for name, text in result.files.items():
        job.log_text(text, name)
    job.end("FINISHED")


@pytest.fixture
def store(mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with a sweep over two models and two seeds, and the word that names it."""
    monkeypatch.chdir(tmp_path)
    settings = Tracking(folder=str(tmp_path / "mlruns"))
    sweep = tracking.start_run(settings, name="sweep", tags={})
    for model, quality in (("cnn4", 1.0), ("cnn5", 4.0)):
        for seed in (0, 1):
            log_scenes(Tracking(folder=settings.folder, parent=sweep.id), model, seed, quality)
    tracking.start_run(settings, name="failed", tags={}).end("FAILED")
    sweep.end("FINISHED")
    return f"tracking.folder={tmp_path / 'mlruns'}"


def test_a_sweep_is_compared_and_written(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", store, "--out", "out", "--resamples", "200"])

    printed = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[:2] for line in printed if line.startswith("cnn")] == [["cnn5", "2"], ["cnn4", "2"]]
    (accuracy,) = (line for line in printed if line.startswith("    accuracy %"))
    (loss,) = (line for line in printed if line.startswith("    log loss"))
    assert all(line.split()[-3:] == ["*", "0.500", "(2)"] for line in (accuracy, loss))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {f"comparison.{kind}" for kind in ("txt", "csv", "md", "tex", "html")} | {"differences.csv"}
    assert '"accuracy by device"' in (tmp_path / "out/comparison.html").read_text()


def test_runs_on_other_test_clips_or_labels_are_not_compared(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Tracking(folder=str(tmp_path / "mlruns"))
    log_scenes(settings, "other_clips", 0, 9, names="x{}.wav")
    log_scenes(settings, "other_labels", 0, 9, classes=["bus", "park"])
    log_scenes(settings, "other_order", 0, 0.5, order=np.random.default_rng(0).permutation(60))

    assert main(["compare", store, "--out", "out", "--resamples", "100"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3:2] for line in lines if line.startswith(("cnn", "other"))] == [
        ["cnn5", "A"],
        ["cnn4", "A"],
        ["other_order", "A"],
        ["other_clips", "B"],
        ["other_labels", "C"],
    ]
    assert "B: accuracy, log loss and F1: macro averages over scenes; test set 2 (60 clips)" in lines
    with (tmp_path / "out/differences.csv").open(encoding="utf-8", newline="") as file:
        compared = {(row["system"], row["best"]): row["p_clips"] for row in csv.DictReader(file)}
    assert set(compared) == {("cnn4", "cnn5"), ("other_order", "cnn5")}
    assert all(compared.values())


def test_macro_f1_of_scenes_is_a_column(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", store, "model=cnn5", "seed=0", "--out", "out", "--resamples", "100"])

    truth = np.arange(60) % 3
    scores = np.random.default_rng(0).random((60, 3))
    scores[np.arange(60), truth] += 0.8
    f1 = MacroF1()(scores, truth)
    with (tmp_path / "out/comparison.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if not row["system"].startswith("published"))
    assert float(row["test/f1 mean"]) == pytest.approx(f1)
    lines = capsys.readouterr().out.splitlines()
    assert any("F1 %" in line for line in lines)
    assert any(line.startswith("cnn5") and f"{100 * f1:.1f}" in line for line in lines)


def test_a_task_of_the_users_own_is_compared_by_its_metrics(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for threshold, value in ((0.4, 0.25), (0.5, 0.75)):
        run = tracking.start_run(Tracking(folder=str(tmp_path / "mlruns")), name="tags", tags={})
        run.log_parameters({"task": "tagging", "task.name": "tagging", "task.threshold": threshold, "seed": 0})
        run.log_metrics(
            {"test/map": value, "test/clips_scored": 4.0, "test/map/dog": 0.5, "complexity/parameters": 8.0}
        )
        run.end("FINISHED")

    assert main(["compare", store, "task=tagging"]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["n", "rule", "map", "parameters"] in lines
    assert [line for line in lines if line and line[0].startswith("threshold=")][:2] == [
        ["threshold=0.5", "1", "A", "0.750", "8"],
        ["threshold=0.4", "1", "A", "0.250", "8"],
    ]


def test_filters_select_runs(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", store, "model=cnn4", "seed=1"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("cnn")] == [["cnn4", "1"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=cnn9"], "error: model=cnn9: no finished run has this value; found cnn4, cnn5"),
        (["nothing=1"], "error: nothing=1: no finished run has this value; no run has this parameter"),
        (["abcdef12"], "error: abcdef12: no finished run or sweep of this id"),
        (["cnn4"], "error: cnn4: expected KEY=VALUE of a parameter, or at least 6 letters of a run's or sweep's id"),
        (["--resamples", "3"], "error: --resamples 3: expected a whole number from 100 to 100000"),
    ],
)
def test_a_filter_that_selects_nothing_is_rejected(
    words: list[str], message: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", store, *words]) == 1

    assert capsys.readouterr().err.startswith(message)


def test_a_store_that_is_not_there_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", f"tracking.folder={tmp_path}"]) == 1

    assert "no store of runs there" in capsys.readouterr().err
