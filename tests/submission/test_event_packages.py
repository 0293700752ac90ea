"""Validation of packages of task 4, of 2021 with tables of events and of 2023 with tables of scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep.submission.check import check_package
from dcase_sweep.submission.recordings import EvaluationRecording
from tests.submission.packages import (
    make_event_package,
    make_score_package,
    metadata,
    write_metadata,
    write_rows,
)

LABEL, LATER = "Kim_SNU_task4_SED_1", "Kim_SNU_task4a_1"
HEADER = ["filename", "onset", "offset", "event_label"]
Edit = Callable[[Path], Any]


def problems_of(root: Path, *recordings: tuple[str, float]) -> list[str]:
    known = [EvaluationRecording(name, Path(name), seconds) for name, seconds in recordings]
    return list(check_package(root, known or None).problems)


def test_packages_are_valid(tmp_path: Path) -> None:
    make_event_package(tmp_path / "2021")
    make_score_package(tmp_path / "2023")

    assert problems_of(tmp_path / "2021") == problems_of(tmp_path / "2021", ("a.wav", 10.0), ("b.wav", 10.0)) == []
    assert problems_of(tmp_path / "2023") == problems_of(tmp_path / "2023", ("a.wav", 2.0)) == []


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (["a.wav", "1.5", "1.25", "Dog"], "line 2: 1.5 to 1.25; expected 0 <= onset < offset, at most 10 s"),
        (["a.wav", "1", "1", "Dog"], "line 2: 1 to 1; expected 0 <= onset < offset"),
        (["a.wav", "-1", "1", "Dog"], "line 2: -1 to 1; expected"),
        (["a.wav", "9", "10.5", "Dog"], "line 2: 9 to 10.5; expected 0 <= onset < offset, at most 10 s"),
        (["a.wav", "x", "1", "Dog"], "line 2: x to 1; expected"),
        (["a.wav", "", "1", "Dog"], "line 2:  to 1; expected"),
        (["a.wav", "0", "1", "dog"], "line 2: event_label dog; expected one of Alarm_bell_ringing"),
        (["c.wav", "0", "1", "Dog"], "line 2: c.wav is not in the evaluation set"),
        (["a.wav", "0", "1"], "line 2: 3 cells; expected 4 as in the header"),
    ],
    ids=["reversed", "empty", "negative", "late", "no number", "no onset", "class", "recording", "cells"],
)
@pytest.mark.parametrize("name", [f"{LABEL}.output.tsv", f"{LABEL}.output_PSDS/predictions_th_0.03.tsv"])
def test_a_table_of_events_with_a_mistake(tmp_path: Path, name: str, row: list[str], line: str) -> None:
    folder = make_event_package(tmp_path)
    write_rows(folder / name, [HEADER, row])

    (found,) = problems_of(tmp_path, ("a.wav", 10.0))

    assert line in found
    assert found.startswith(f"{name}, ")


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (["a.wav", "1", "2", "Dog"], "line 3: Dog overlaps that of line 2; expected one event"),
        (["a.wav", "1.5", "3", "Dog"], "line 3: Dog overlaps that of line 2; expected one event"),
        (["a.wav", "0", "3", "Dog"], "line 2: Dog overlaps that of line 3; expected one event"),
        (["a.wav", "2", "3", "Dog"], None),
        (["a.wav", "1", "2", "Cat"], None),
        (["b.wav", "1", "2", "Dog"], None),
    ],
)
def test_events_of_a_class_must_not_overlap(tmp_path: Path, row: list[str], line: str | None) -> None:
    folder = make_event_package(tmp_path)
    write_rows(folder / f"{LABEL}.output.tsv", [HEADER, ["a.wav", "1", "2", "Dog"], row])

    assert problems_of(tmp_path) == ([f"{LABEL}.output.tsv, {line}"] if line else [])


def test_a_recording_may_have_no_event(tmp_path: Path) -> None:
    folder = make_event_package(tmp_path)
    write_rows(folder / f"{LABEL}.output.tsv", [HEADER, ["a.wav", "", "", ""]])

    assert problems_of(tmp_path) == []


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_event_package, f"{LABEL}.output.tsv"),
        (make_event_package, f"{LABEL}.output_PSDS/predictions_th_0.03.tsv"),
        (make_score_package, f"{LATER}_run2.output/a.tsv"),
    ],
)
def test_tables_are_separated_by_tabs(tmp_path: Path, make: Callable[[Path], Path], name: str) -> None:
    table = make(tmp_path) / name
    table.write_text(table.read_text(encoding="utf-8").replace("\t", ","), encoding="utf-8")

    assert problems_of(tmp_path) == [f"{name}: its columns are not separated by tabs; expected tabs"]


def remove(name: str) -> Edit:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (remove(f"{LABEL}.output.tsv"), f"no {LABEL}.output.tsv; expected the events at one threshold"),
        (
            remove(f"{LABEL}.output_PSDS/predictions_th_0.99.tsv"),
            "49 thresholds; expected 50, such as 0.01, 0.03 ... 0.99; no table of 0.99",
        ),
        (
            lambda folder: (folder / f"{LABEL}.output_PSDS/predictions_th_0.99.tsv").rename(
                folder / f"{LABEL}.output_PSDS/predictions.tsv"
            ),
            "predictions.tsv: no threshold in the name; expected one from 0 to 1",
        ),
        (
            lambda folder: (folder / f"{LABEL}.output_PSDS").rename(folder / "thresholds"),
            f"no folder {LABEL}.output_PSDS; expected the events at 50 thresholds",
        ),
    ],
    ids=["no output", "49 thresholds", "no threshold", "no folder"],
)
def test_a_package_of_events_with_a_mistake(tmp_path: Path, edit: Edit, line: str) -> None:
    edit(make_event_package(tmp_path))

    found = problems_of(tmp_path)

    assert any(line in each for each in found), found


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("name", "My baseline", "submission.name: My baseline: expected no 'baseline' in it"),
        ("abbreviation", "Baseline", "submission.abbreviation: Baseline: expected no 'baseline' in it"),
        ("input_sampling_rate", "16kHz", "input_sampling_rate: '16kHz'; expected a number of Hz"),
        ("overall", {}, "overall: no F-score; expected F-score"),
        ("overall", {"F-score": "40 %"}, "overall.F-score: '40 %'; expected a number"),
        ("class_wise", {"Dog": {}}, "class_wise.Dog: no F-score; expected F-score"),
    ],
)
def test_metadata_of_events_with_a_mistake(tmp_path: Path, key: str, value: object, line: str) -> None:
    folder = make_event_package(tmp_path)
    values = metadata(LABEL)
    sections = (values["submission"], values["system"]["description"], values["results"]["development_dataset"])
    next(section for section in sections if key in section)[key] = value
    write_metadata(folder / f"{LABEL}.meta.yaml", values)

    (found,) = problems_of(tmp_path)

    assert line in found


SCORES = f"{LATER}_run2.output/a.tsv"


def change_scores(row: int, column: int, value: str) -> Edit:
    def edit(folder: Path) -> None:
        rows = [line.split("\t") for line in (folder / SCORES).read_text().splitlines()]
        rows[row][column] = value
        write_rows(folder / SCORES, rows)

    return edit


def cut_scores(seconds: float) -> Edit:
    def edit(folder: Path) -> None:
        lines = (folder / SCORES).read_text().splitlines()
        (folder / SCORES).write_text("\n".join(lines[: 1 + round(2 * seconds)]) + "\n")

    return edit


def add_column(path: Path, name: str) -> None:
    first, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{first}\t{name}", *(f"{row}\t0.5" for row in rows)]) + "\n")


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (change_scores(0, 5, "Bird"), "no column Dishes"),
        (change_scores(2, 3, "x"), "not numbers alone; expected a row of scores for each frame"),
        (change_scores(2, 3, "nan"), "not numbers alone"),
        (change_scores(2, 3, "1.5"), "a score of 0.25 or 1.5; expected 0 to 1"),
        (change_scores(2, 0, "0.75"), "its frames do not follow one another from 0 on"),
        (change_scores(4, 1, "2.5"), "ends at 2.5 s; expected at most 2 s"),
        (cut_scores(1), "ends at 1 s; expected scores of all 2 s"),
        (lambda folder: add_column(folder / SCORES, "Bird"), "column Bird; expected onset, offset, Alarm_bell_ringing"),
        (remove(SCORES), "no tables of scores; expected one for each recording"),
        (lambda folder: write_rows(folder / SCORES.replace("a.tsv", "b.tsv"), [["onset"]]), "b.tsv is not in the"),
        (
            lambda folder: (folder / f"{LATER}_run3.output").rename(folder / f"{LATER}_run4.output"),
            f"no folder {LATER}_run3.output; expected the scores of 3 trainings",
        ),
    ],
    ids=["class", "text", "nan", "score", "frames", "end", "cut off", "column", "no table", "unknown", "trainings"],
)
def test_a_package_of_scores_with_a_mistake(tmp_path: Path, edit: Edit, line: str) -> None:
    edit(make_score_package(tmp_path))

    found = problems_of(tmp_path, ("a.wav", 2.0))

    assert any(line in each for each in found), found


def test_unprocessed_scores_may_be_left_out(tmp_path: Path) -> None:
    folder = make_score_package(tmp_path)
    for run in (1, 2, 3):
        (folder / f"{LATER}_run{run}_unprocessed.output/a.tsv").unlink()
        (folder / f"{LATER}_run{run}_unprocessed.output").rmdir()

    assert problems_of(tmp_path) == []
