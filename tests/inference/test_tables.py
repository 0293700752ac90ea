"""Tables of predictions."""

import csv
import io
import json

import numpy as np
import pytest

from dcase_sweep.inference.tables import TableFormat, check_prediction
from dcase_sweep.tasks.prediction import DetectedEvent, EventPrediction, ScenePrediction, Segment, TagPrediction
from dcase_sweep.utils.errors import UserError

SEGMENTS = (
    Segment(0.0, 10.0, "bus", 0.7),
    Segment(5.0, 15.0, "bus", 0.6),
    Segment(10.0, 20.0, "park", 0.9),
)
SCENE = ScenePrediction({"bus": 0.6, "park": 0.4}, SEGMENTS, seconds=20.0, label="bus")
EVENTS = EventPrediction(
    (DetectedEvent(0.064, 1.28, "Cat", 0.75), DetectedEvent(0.5, 0.75, "Dog", 0.5)),
    {"Cat": 0.9, "Dog": 0.6},
    np.zeros((20, 2), np.float32),
    0.064,
    1.28,
)


def test_a_table_of_scenes_has_the_format_of_the_challenge() -> None:
    table = TableFormat("tsv", ("park", "bus"))

    assert table.header(SCENE) == "filename\tscene_label\tpark\tbus\n"
    assert table.lines("a.wav", SCENE) == "a.wav\tbus\t0.4\t0.6\n"


def test_a_table_of_events_is_what_evaluate_events_reads() -> None:
    table = TableFormat("tsv", ("Cat", "Dog"))

    assert table.header(EVENTS) == "filename\tonset\toffset\tevent_label\tconfidence\n"
    assert table.lines("a.wav", EVENTS) == "a.wav\t0.064\t1.28\tCat\t0.75\na.wav\t0.5\t0.75\tDog\t0.5\n"


def test_a_table_of_segments_has_a_row_for_each_window() -> None:
    table = TableFormat("csv", ("bus", "park"), segments=True)

    assert table.header(SCENE) == "filename,onset,offset,scene_label,confidence\n"
    assert table.lines("a.wav", SCENE).splitlines()[2] == "a.wav,10,20,park,0.9"


def test_a_small_probability_is_not_zero() -> None:
    scene = ScenePrediction({"bus": 1.0, "park": 1.23456789e-9}, SEGMENTS, seconds=3661.1234567, label="bus")

    assert TableFormat("csv", ("park", "bus")).lines("a.wav", scene) == "a.wav,bus,1.23457e-09,1\n"
    found = json.loads(TableFormat("jsonl", ("park", "bus")).lines("a.wav", scene))
    assert found["probabilities"]["park"] == 1.23457e-9
    assert found["seconds"] == 3661.123457


def test_names_with_commas_tabs_and_line_ends_are_read_back() -> None:
    name = 'a, "b"\t한국어\n.wav'
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        text = TableFormat(form, ("bus", "park")).lines(name, SCENE)  # type: ignore[arg-type]
        (row,) = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        assert row[0] == name


def test_tags_are_in_one_cell() -> None:
    tags = TagPrediction({"low": 0.9, "high": 0.8}, labels=("low", "high"))

    assert TableFormat("csv", ("high", "low")).lines("a.wav", tags) == 'a.wav,"low,high",0.8,0.9\n'


def test_a_line_of_json_has_all_of_a_recording() -> None:
    text = TableFormat("jsonl", ("Cat", "Dog")).lines("한국어.wav", EVENTS)

    assert text.count("\n") == 1
    assert json.loads(text) == {
        "filename": "한국어.wav",
        "seconds": 1.28,
        "labels": ["Cat", "Dog"],
        "probabilities": {"Cat": 0.9, "Dog": 0.6},
        "segments": [
            {"onset": 0.064, "offset": 1.28, "label": "Cat", "confidence": 0.75},
            {"onset": 0.5, "offset": 0.75, "label": "Dog", "confidence": 0.5},
        ],
    }


def test_windows_of_one_scene_are_one_label_of_audacity() -> None:
    table = TableFormat("audacity", ("bus", "park"))

    assert table.header(SCENE) == ""
    assert table.lines("a.wav", SCENE) == "0.000000\t15.000000\tbus\n10.000000\t20.000000\tpark\n"


def test_a_prediction_that_is_not_a_table_is_rejected_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^task tones: its predictor returns a ndarray, which is not a table"):
        check_prediction(np.zeros(3), "tones")
