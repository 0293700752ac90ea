"""Evaluation of scores from Python, and the table of runs."""

from pathlib import Path

import numpy as np
import pytest

import dcase_sweep
from dcase_sweep.utils.errors import UserError

SCORES = [[0.7, 0.3], [0.4, 0.6], [0.9, 0.1], [2.0, 6.0]]
SCENES = ["bus", "tram", "tram", "tram"]
TRUTH = "filename\tonset\toffset\tevent_label\na.wav\t0.0\t1.0\tCat\nb.wav\t0.5\t1.5\tDog\n"
DURATIONS = "filename\tduration\na.wav\t2.0\nb.wav\t2.0\n"


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Two clips with an event each, and their durations."""
    (tmp_path / "truth.tsv").write_text(TRUTH)
    (tmp_path / "durations.tsv").write_text(DURATIONS)
    return tmp_path / "truth.tsv", tmp_path / "durations.tsv"


def test_scenes_of_arrays() -> None:
    report = dcase_sweep.evaluate_scenes(SCORES, SCENES, devices=["a", "a", "b", "b"])

    assert report.classes == ("bus", "tram")
    assert report.accuracy == pytest.approx((1 + 2 / 3) / 2)
    assert report.clip_accuracy == 0.75
    assert report.devices == ("a", "b")


def test_scenes_of_files(tmp_path: Path) -> None:
    (tmp_path / "scores.txt").write_text("\n".join(" ".join(map(str, row)) for row in SCORES) + "\n")
    clips = enumerate(zip(SCENES, "aabb", strict=True))
    rows = [f"audio/{scene}-{number}-{device}.wav,{scene},{device}" for number, (scene, device) in clips]
    (tmp_path / "reference.csv").write_text("filename,scene_label,source_label\n" + "\n".join(rows) + "\n")

    of_files = dcase_sweep.evaluate_scenes(tmp_path / "scores.txt", tmp_path / "reference.csv")
    of_arrays = dcase_sweep.evaluate_scenes(np.array(SCORES), str(tmp_path / "reference.csv"))

    expected = dcase_sweep.evaluate_scenes(SCORES, SCENES, devices=["a", "a", "b", "b"])
    assert of_files.log_loss == of_arrays.log_loss == expected.log_loss
    assert of_files.device_scores == of_arrays.device_scores == expected.device_scores


@pytest.mark.parametrize(
    ("scores", "scenes", "line"),
    [
        (SCORES, ["bus", "bus", "bus", "metro"], r"reference: unknown scene 'metro'; expected one of bus, tram"),
        ([[0.5, -0.1]], ["bus"], r"scores\[0\]: a negative score; expected numbers of at least 0"),
        (
            "scores.txt",
            ["bus"],
            r"reference: labels without file names; expected the table of the clips in scores",
        ),
    ],
)
def test_scores_that_cannot_be_used_are_rejected_in_one_line(scores: object, scenes: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        dcase_sweep.evaluate_scenes(scores, scenes, classes=["bus", "tram"])  # type: ignore[arg-type]


def test_events_of_scores(tables: tuple[Path, Path]) -> None:
    scores = {name: np.full((20, 2), 0.001) for name in ("a.wav", "b.wav")}
    scores["a.wav"][0:10, 0] = 0.999
    scores["b.wav"][5:15, 1] = 0.999

    found = dcase_sweep.evaluate_events(scores, *tables, hop=0.1, median_length=1)

    assert found.collar.macro == 1.0
    assert found.psds[0].value == pytest.approx(1.0)


def test_events_of_a_folder_are_those_of_the_command(tables: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "detections").mkdir()
    for threshold in ("0.30", "0.48"):
        (tmp_path / f"detections/predictions_th_{threshold}.tsv").write_text(TRUTH)

    found = dcase_sweep.evaluate_events(tmp_path / "detections", *tables)

    assert (found.f1_threshold, found.intersection.macro) == (0.48, 1.0)
    with pytest.raises(UserError, match=r"^f1_threshold=0\.7: no table near it in .*; the nearest is 0\.48"):
        dcase_sweep.evaluate_events(tmp_path / "detections", *tables, f1_threshold=0.7)


def test_events_of_scores_need_their_hop(tables: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"^hop: not given; expected the time between"):
        dcase_sweep.evaluate_events({}, *tables)


def test_runs_of_a_folder_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    with pytest.raises(UserError, match=r"mlflow\.db: no store of runs there; expected folder= or tracking_uri="):
        dcase_sweep.runs(folder=tmp_path)
    with pytest.raises(UserError, match=r"^limit=0: expected at least 1"):
        dcase_sweep.runs(folder=tmp_path, limit=0)


def test_runs_of_an_empty_store(mlruns: Path) -> None:
    found = dcase_sweep.runs(folder=mlruns)

    assert list(found.columns) == ["run_id", "name", "status", "start_time", "seconds"]
    assert found.empty


def test_a_filter_that_mlflow_cannot_read(mlruns: Path) -> None:
    with pytest.raises(UserError, match=r"^filter='metrics accuracy': .*; expected MLflow's language"):
        dcase_sweep.runs("metrics accuracy", folder=mlruns)


def test_only_experiments_are_run() -> None:
    with pytest.raises(UserError, match=r"^run\('model=cnn4'\): expected an experiment, as in dcase_sweep.run\("):
        dcase_sweep.run("model=cnn4")  # type: ignore[arg-type]


def test_overrides_that_are_no_texts_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^overrides: 3 of type int; expected texts such as 'training.epochs=20'$"):
        dcase_sweep.compose(["model=cnn4", 3])  # type: ignore[list-item]
