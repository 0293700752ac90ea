"""Evaluation of scores from Python, and the table of runs."""

import json
from pathlib import Path

import numpy as np
import pytest

import dcase_sweep
from dcase_sweep.cli.evaluate import main
from dcase_sweep.evaluation.events import format_text, to_json
from dcase_sweep.utils.errors import DataError, UserError

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


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        ("bus,tram", r"^classes='bus,tram': a text; expected a list of them: \['bus', 'tram'\]$"),
        (["bus", "bus"], "^the scene 'bus' is named twice; expected each scene once$"),
        (["bus", ""], "one of them is blank"),
    ],
)
def test_scenes_are_named_as_for_the_command(classes: object, line: str) -> None:
    with pytest.raises(UserError, match=line):
        dcase_sweep.evaluate_scenes(SCORES, SCENES, classes=classes)  # type: ignore[arg-type]


def test_scenes_may_be_indices() -> None:
    truth = np.arange(24) % 12

    report = dcase_sweep.evaluate_scenes(np.eye(12)[truth], truth)  # type: ignore[arg-type]

    assert report.classes[:3] == ("0", "1", "2")
    assert report.accuracy == 1.0


def test_decisions_are_no_labels() -> None:
    with pytest.raises(UserError, match=r"^reference\[0\]: 3 values; expected one label for each clip$"):
        dcase_sweep.evaluate_scenes(np.eye(3), np.eye(3))  # type: ignore[arg-type]


def test_an_unknown_column_of_scores_is_explained_with_the_argument(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("filename,bus,tram,other\na-0-a.wav,0.5,0.5,7\n")
    (tmp_path / "reference.csv").write_text("filename,scene_label\na-0-a.wav,bus\n")

    with pytest.raises(UserError, match=r"unknown column 'other'.* or name all scenes with classes=$"):
        dcase_sweep.evaluate_scenes(tmp_path / "scores.csv", tmp_path / "reference.csv", classes=None)


def test_events_of_scores(tables: tuple[Path, Path]) -> None:
    scores = {name: np.full((20, 2), 0.001) for name in ("a.wav", "b.wav")}
    scores["a.wav"][0:10, 0] = 0.999
    scores["b.wav"][5:15, 1] = 0.999

    found = dcase_sweep.evaluate_events(scores, *tables, hop=0.1, median_length=1)

    assert found.collar.macro == 1.0
    assert found.psds[0].value == pytest.approx(1.0)


@pytest.fixture
def files(tables: tuple[Path, Path], tmp_path: Path) -> Path:
    """Detections, the same as the reference at two thresholds, scores of the clips, and a table of detections."""
    (tmp_path / "detections").mkdir()
    for threshold in ("0.30", "0.48"):
        (tmp_path / f"detections/predictions_th_{threshold}.tsv").write_text(TRUTH)
    (tmp_path / "scores").mkdir()
    for clip, scores in (("a", "0.9\t0.2"), ("b", "0.1\t0.7")):
        rows = [f"{frame / 4}\t{frame / 4 + 0.25}\t{scores if 2 <= frame < 6 else '0.1	0.1'}" for frame in range(8)]
        (tmp_path / f"scores/{clip}.tsv").write_text("\n".join(["onset\toffset\tCat\tDog", *rows]) + "\n")
    (tmp_path / "found.csv").write_text("filename,onset,offset,event_label\nb.wav,0.5,1.5,Dog\n")
    (tmp_path / "system").mkdir()
    (tmp_path / "detections").rename(tmp_path / "system/detections")
    return tmp_path


@pytest.mark.parametrize("detections", ["system/detections", "system", "scores", "found.csv"])
def test_events_of_files_are_those_of_the_command(
    files: Path, tables: tuple[Path, Path], detections: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dcase_sweep.evaluate_events(files / detections, *tables)

    assert main(["events", str(files / detections), *map(str, tables), "--json", str(files / "out.json")]) == 0
    assert to_json(found) == json.loads((files / "out.json").read_text())
    assert capsys.readouterr().out.startswith(format_text(found, 80).splitlines()[0])


def test_the_table_of_f1_may_be_given(files: Path, tables: tuple[Path, Path]) -> None:
    nearest = dcase_sweep.evaluate_events(files / "system", *tables)
    given = dcase_sweep.evaluate_events(files / "system", *tables, f1_table=files / "found.csv")

    assert (nearest.f1_threshold, nearest.collar.micro) == (0.48, 1.0)
    assert (given.f1_threshold, given.collar.micro) == (0.5, pytest.approx(2 / 3))


def test_the_reference_packages_compute_the_same(files: Path, tables: tuple[Path, Path]) -> None:
    pytest.importorskip("psds_eval")

    found = dcase_sweep.evaluate_events(files / "system", *tables, reference=True)

    assert {figure.package.split()[0] for figure in found.reference} == {"psds_eval", "sed_eval"}
    assert all(figure.difference == pytest.approx(0, abs=1e-9) for figure in found.reference)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"f1_threshold": 0.7}, r"no table near threshold 0\.7 .*; give it with f1_table=, or .*, with f1_threshold=$"),
        ({"f1_threshold": float("nan")}, "^f1_threshold=nan: expected a number from 0 to 1$"),
        ({"cross_trigger_average": "both"}, "^cross_trigger_average='both': expected 'all' or 'others'$"),
        ({"hop": 0.064}, r"^hop=0\.064: not used for tables"),
        ({"median_length": 5}, "^median_length=5: not used for tables"),
        ({"labels": "Cat,Dog"}, r"^labels='Cat,Dog': a text; expected a list of them: \['Cat', 'Dog'\]$"),
        ({"labels": ["Cat", "Cat"]}, "^labels=Cat,Cat: a class is named twice; expected each once$"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_by_name(
    files: Path, tables: tuple[Path, Path], options: dict[str, object], line: str
) -> None:
    with pytest.raises(UserError, match=line):
        dcase_sweep.evaluate_events(files / "system", *tables, **options)  # type: ignore[arg-type]


def test_overlaps_are_merged_by_the_argument_that_the_error_names(files: Path, tables: tuple[Path, Path]) -> None:
    tables[0].write_text(TRUTH + "a.wav\t0.5\t1.5\tCat\n")

    with pytest.raises(DataError, match=r"overlap in a\.wav .*; merge them into one, or add merge_overlaps=True$"):
        dcase_sweep.evaluate_events(files / "scores", *tables)
    assert dcase_sweep.evaluate_events(files / "scores", *tables, merge_overlaps=True).truth.merged_events == 1


def test_the_result_of_events_is_short_in_a_notebook(files: Path, tables: tuple[Path, Path]) -> None:
    assert len(repr(dcase_sweep.evaluate_events(files / "scores", *tables))) < 8000


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


def test_a_run_needs_a_folder_that_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        UserError, match=r"^folder=.*/file: .*/file is not a folder; expected one for the files of a run$"
    ):
        dcase_sweep.run(dcase_sweep.compose(["model=cnn4"]), folder=tmp_path / "file")


def test_the_home_folder_may_be_abbreviated(
    files: Path, tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(files))

    assert dcase_sweep.evaluate_events("~/system", "~/truth.tsv", "~/durations.tsv").collar.macro == 1.0


def test_overrides_that_are_no_texts_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^overrides: 3 of type int; expected texts such as 'training.epochs=20'$"):
        dcase_sweep.compose(["model=cnn4", 3])  # type: ignore[list-item]
