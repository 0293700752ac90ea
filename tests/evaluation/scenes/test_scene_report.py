"""The table of results, and the same numbers as JSON and CSV."""

import csv
import io
import json

import pytest

from dcase_sweep.evaluation.scenes.metrics import SceneReport, evaluate_scenes
from dcase_sweep.evaluation.scenes.report import headline, scene_table, to_csv, to_json


@pytest.fixture
def report() -> SceneReport:
    """Return four clips, none of the class park, and none of the class tram by device a."""
    return evaluate_scenes(
        [[0.5, 0.25, 0.25], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6], [0.5, 0.25, 0.25]],
        [0, 0, 2, 2],
        classes=("metro_station", "park", "tram"),
        devices=["s1", "a", "s1", "s1"],
    )


def test_table_has_log_loss_by_device_and_accuracy(report: SceneReport) -> None:
    assert scene_table(report, note="synthetic demo data").splitlines() == [
        "Acoustic scene classification: 4 clips, 2 scenes, 2 devices (synthetic demo data)",
        "",
        "   Scene         | Logloss | A        S1    | Accuracy",
        "   ------------- | ------- | ------   ----- | --------",
        "   metro_station | 0.399   | 0.105    0.693 | 100.0%",
        "   park          | -       | -        -     | -",
        "   tram          | 0.949   | -        0.949 | 50.0%",
        "   ------------- | ------- | ------   ----- | --------",
        "   Logloss       | 0.674   | 0.105    0.821 |",
        "   Accuracy      |         | 100.0%   75.0% | 75.0%",
    ]


def test_averages_over_clips_are_reported_where_they_differ() -> None:
    uneven = evaluate_scenes([[0.5, 0.5], [0.8, 0.2], [0.2, 0.8]], [0, 0, 1], classes=("bus", "park"))

    assert "Averaged over clips instead: accuracy 1.0000, log loss 0.3798" in scene_table(uneven)
    assert headline(uneven) == "accuracy 1.0000, log loss 0.3406 (macro averages over scenes)"


def test_table_without_devices_has_no_device_columns() -> None:
    single = evaluate_scenes([[0.5, 0.5]], [0], classes=("bus", "park"))

    lines = scene_table(single).splitlines()
    assert lines[0] == "Acoustic scene classification: 1 clip, 1 scene"
    assert lines[2] == "   Scene         | Logloss | Accuracy"


def test_rows_are_those_that_the_baseline_prints() -> None:
    """Format the values like dcase_util with an indent of 3, as in the baseline."""
    ui = pytest.importorskip("dcase_util.ui.ui", reason="dcase_util is not installed")
    devices = ("a", "b", "c", "s1")
    report = evaluate_scenes(
        [[0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.4, 0.6]] + [[0.9, 0.1]] * 4,
        [0, 0, 0, 0, 1, 1, 1, 1],  # each device hears one clip of either scene and is wrong about the park
        classes=("airport", "park"),
        devices=[*devices, *devices],
    )
    printer = ui.FancyStringifier()
    numbers = ["float3"] * (1 + len(devices))
    printer.row(
        *("Scene", "Logloss", *map(str.upper, devices), "Accuracy"),
        widths=[16, 10, *([8] * len(devices)), 8],
        types=["str20", *numbers, "float1_percentage"],
        separators=[True, True, *([False] * (len(devices) - 1)), True, False],
        indent=3,
    )
    losses = report.scene_device_log_loss[0].tolist()
    theirs = printer.row("airport", report.scenes[0].log_loss, *losses, 100 * report.scenes[0].accuracy)

    ours = scene_table(report).splitlines()[4]

    assert ours == theirs.rstrip()


def test_long_names_do_not_widen_the_table() -> None:
    report = evaluate_scenes([[0.5, 0.5]], [0], classes=("a" * 10_000, "bus"), devices=["d" * 500])

    assert max(map(len, scene_table(report).splitlines())) < 120
    assert json.loads(json.dumps(to_json(report)))["classes"][0] == "a" * 10_000


def test_csv_holds_the_table_with_empty_cells_for_no_clip(report: SceneReport) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))

    assert list(rows[0]) == ["scene", "logloss", "A", "S1", "accuracy"]
    assert [row["scene"] for row in rows] == ["metro_station", "park", "tram", "Logloss", "Accuracy"]
    assert rows[1] == {"scene": "park", "logloss": "", "A": "", "S1": "", "accuracy": ""}
    assert float(rows[0]["S1"]) == pytest.approx(0.693147)
    assert rows[4]["accuracy"] == "0.750000"


def test_csv_carries_the_note_in_every_row(report: SceneReport) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report, note="synthetic demo data"))))

    assert {row["note"] for row in rows} == {"synthetic demo data"}
    assert [row["scene"] for row in rows] == ["metro_station", "park", "tram", "Logloss", "Accuracy"]


def test_json_has_every_figure_and_no_nan(report: SceneReport) -> None:
    figures = json.loads(json.dumps(to_json(report), allow_nan=False))

    assert figures["accuracy"] == 0.75
    assert figures["scenes"]["park"] == {"clips": 0, "accuracy": None, "log_loss": None}
    assert figures["device_scores"]["s1"]["clips"] == 3
    assert figures["scene_device_log_loss"][2][0] is None
    assert figures["confusion"] == [[2, 0, 0], [0, 0, 0], [1, 0, 1]]


@pytest.fixture
def nine_devices() -> SceneReport:
    """As many devices as in TAU, with a clip of each scene by each."""
    classes, devices = ("street_pedestrian", "tram"), ["a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6"]
    scores = [[0.75, 0.25]] * 9 + [[0.5, 0.5]] * 9
    return evaluate_scenes(scores, [0] * 9 + [1] * 9, classes=classes, devices=devices * 2)


@pytest.mark.parametrize(
    ("width", "says"), [(80, "Device  Logloss  Accuracy"), (100, "| A     B "), (140, "| A       B ")]
)
def test_the_table_fits_the_terminal_and_breaks_no_number(nine_devices: SceneReport, width: int, says: str) -> None:
    text = scene_table(nine_devices, width=width)

    assert max(map(len, text.splitlines())) <= width
    assert says in text
    assert "0.288" in text
    assert ("in scenes.csv" in text) == (width == 80)


def test_classes_are_not_called_scenes_where_they_are_none(report: SceneReport) -> None:
    lines = scene_table(report, noun="class").splitlines()

    assert lines[0] == "Classification of clips: 4 clips, 2 classes, 2 devices"
    assert lines[2].startswith("   Class ")
