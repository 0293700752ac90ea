"""Validation of packages of task 1A by the rules of its public validator."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep.submission import rules
from dcase_sweep.submission.check import check_package
from dcase_sweep.submission.recordings import find_recordings
from dcase_sweep.utils.errors import DataError, UserError
from tests.submission.packages import (
    CLIPS,
    PDF,
    make_scene_package,
    metadata,
    record,
    scene_rows,
    use_small_sets,
    write_metadata,
    write_rows,
)

LABEL = "Kim_SNU_task1a_1"
OUTPUT, METADATA = f"{LABEL}.output.csv", f"{LABEL}.meta.yaml"
Rows = list[list[str]]


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_sets(monkeypatch)


def problems_of(root: Path) -> list[str]:
    return list(check_package(root).problems)


def test_a_package_is_valid(tmp_path: Path) -> None:
    make_scene_package(tmp_path)
    make_scene_package(tmp_path, "Kim_SNU_task1a_2")

    checked = check_package(tmp_path)

    assert checked.systems == (LABEL, "Kim_SNU_task1a_2")
    assert checked.problems == ()


def test_the_evaluation_set_has_7920_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", (rules.TASK_1A,))
    folder = make_scene_package(tmp_path)
    header, first, *_ = scene_rows()
    rows = [header, *([f"audio/{number}.wav", *first[1:]] for number in range(7920))]

    write_rows(folder / OUTPUT, rows)
    assert problems_of(tmp_path) == []

    write_rows(folder / OUTPUT, [*rows[:-1], ["audio/7920.wav", *first[1:]]])
    assert [line.partition(": ")[2] for line in problems_of(tmp_path)] == ["7920.wav: expected 0.wav to 7919.wav"]


def change(row: int, column: str, value: str) -> Callable[[Rows], Rows]:
    def changed(rows: Rows) -> Rows:
        rows[row][rows[0].index(column)] = value
        return rows

    return changed


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (change(1, "scene_label", "beach"), "line 2: scene_label beach: expected one of airport, bus"),
        (change(1, "scene_label", "bus"), "line 2: scene_label bus, but airport is more probable"),
        (change(2, "tram", "x"), "line 3: tram is x; expected a probability from 0 to 1"),
        (change(2, "tram", "nan"), "line 3: tram is nan; expected a probability from 0 to 1"),
        (change(2, "tram", "-0.05"), "line 3: tram is -0.05; expected a probability from 0 to 1"),
        (change(2, "tram", "0.2"), "line 3: probabilities sum to 1.15; expected 1"),
        (change(2, "filename", "0.wav"), "line 3: 0.wav is also in line 2; expected each recording once"),
        (change(2, "filename", "audio/0.wav"), "line 3: 0.wav is also in line 2; expected each recording once"),
        (change(1, "filename", "street.wav"), "line 2: street.wav: expected 0.wav to 3.wav"),
        (change(1, "filename", "0.flac"), "line 2: 0.flac: expected 0.wav to 3.wav"),
        (change(1, "filename", "4.wav"), "line 2: 4.wav: expected 0.wav to 3.wav"),
        (change(0, "tram", "trams"), "no column tram; found filename"),
        (lambda rows: rows[:-1], "3 recordings; expected 4, the evaluation set of 2021"),
        (lambda rows: [[*row, "1"] for row in rows], "unknown column 1; expected filename, scene_label, airport"),
        (lambda rows: [*rows[:-1], rows[-1][:-1]], "line 5: 11 cells; expected 12 as in the header"),
        (lambda rows: [[",".join(row)] for row in rows], "its columns are not separated by tabs; expected tabs"),
        (lambda rows: rows[1:], "no column filename"),
        (lambda rows: [], "the file is empty; expected a tab-separated table with filename, scene_label"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_an_output_with_a_mistake(tmp_path: Path, edit: Callable[[Rows], Rows], line: str) -> None:
    folder = make_scene_package(tmp_path)
    write_rows(folder / OUTPUT, edit(scene_rows()))

    found = problems_of(tmp_path)

    assert any(line in each for each in found), found
    assert all(each.startswith(OUTPUT) for each in found)


def test_a_mistake_in_every_row_is_shown_a_few_times(tmp_path: Path) -> None:
    folder = make_scene_package(tmp_path)
    write_rows(folder / OUTPUT, [scene_rows()[0], *([row[0], "beach", *row[2:]] for row in scene_rows()[1:])])

    found = problems_of(tmp_path)

    assert len(found) == 4
    assert found[-1].endswith(f"{OUTPUT}: {CLIPS - 3} more lines like the last one")


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set a value by its dotted key; a number is a place in a list."""

    def edit(values: Any) -> None:
        *path, last = key.split(".")
        for part in path:
            values = values[int(part)] if part.isdecimal() else values[part]
        values[last] = value

    return edit


def leave_out(key: str) -> Callable[[dict[str, Any]], None]:
    def edit(values: Any) -> None:
        *path, last = key.split(".")
        for part in path:
            values = values[int(part)] if part.isdecimal() else values[part]
        del values[last]

    return edit


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (put("submission.abbreviation", "a long name"), "a long name: 11 characters; expected at most 10"),
        (
            put("submission.label", "Kim_SNU_task1a_2"),
            "submission.label: 'Kim_SNU_task1a_2'; expected Kim_SNU_task1a_1",
        ),
        (put("submission.name", "TODO"), "submission.name is open (TODO); fill it in"),
        (put("submission.authors", []), "submission.authors: []; expected a list of authors"),
        (put("submission.authors.0.corresponding", False), "0 marked as corresponding; expected 1"),
        (put("submission.authors.1.corresponding", True), "2 marked as corresponding; expected 1"),
        (put("submission.authors.1.email", "TODO"), "submission.authors.2.email is open (TODO); fill it in"),
        (put("submission.authors.1.email", "nowhere"), "submission.authors.2.email: 'nowhere'; expected an address"),
        (leave_out("submission.authors.1.firstname"), "submission.authors.2: no firstname; expected lastname"),
        (leave_out("submission"), "no submission; expected submission, system, results"),
        (leave_out("system.source_code"), "system: no source_code; expected description, complexity"),
        (leave_out("system.description.embeddings"), "system.description: no embeddings; expected"),
        (put("system.complexity", None), "system.complexity: empty; expected the keys total_parameters"),
        (put("system.complexity.total_parameters", 46.5), "total_parameters: 46.5; expected a whole number"),
        (
            put("system.complexity.total_parameters_non_zero", 50_000),
            "50,000; expected at most total_parameters, 46,246",
        ),
        (put("system.complexity.model_size", 128.5), "model_size: 128.5 KB; expected at most 128 KB of non-zero"),
        (put("system.external_datasets", [{"name": "AudioSet"}]), "external_datasets.1: no url, total_audio_length"),
        (put("results.development_dataset", None), "results.development_dataset: empty; expected the keys overall"),
        (put("results.development_dataset.overall.logloss", "low"), "overall.logloss: 'low'; expected a number"),
        (put("results.development_dataset.overall.accuracy", True), "overall.accuracy: True; expected a number"),
        (leave_out("results.development_dataset.class_wise.tram"), "class_wise: no tram; expected airport, bus"),
        (put("results.development_dataset.device_wise", {"a": {}}), "device_wise: no b, c, s1, s2, s3, s4, s5, s6"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_metadata_with_a_mistake(tmp_path: Path, edit: Callable[[dict[str, Any]], None], line: str) -> None:
    folder = make_scene_package(tmp_path)
    values = metadata(LABEL)
    edit(values)
    write_metadata(folder / METADATA, values)

    found = problems_of(tmp_path)

    assert len(found) == 1
    assert line in found[0]
    assert found[0].startswith(f"{METADATA}: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("submission: [", "line 1: expected the node content"),
        ("a: &a [1]\nb: *a\n", "line 2: an alias; write the value again"),
        ("[" * 30 + "]" * 30, "more than 20 levels"),
        ("- 1\n", "no keys; expected keys and values in YAML"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("a: 2021-99-99\n", "month must be in"),
        ("a: 0x" + "f" * 5000 + "\n", "a value of 5,002 characters, more than 3,000"),
    ],
)
def test_metadata_that_are_no_yaml(tmp_path: Path, text: str, line: str) -> None:
    folder = make_scene_package(tmp_path)
    (folder / METADATA).write_text(text, encoding="utf-8")

    (found,) = problems_of(tmp_path)

    assert line in found
    assert "\n" not in found


def test_what_files_hold_does_not_reach_the_terminal(tmp_path: Path) -> None:
    folder = make_scene_package(tmp_path)
    values = metadata(LABEL)
    values["submission"]["authors"] = [{"a\x1b[31m": "TODO"}]
    values["system"]["complexity"] = {"total_parameters": 16**2000, "model_size": 16**2000}
    write_metadata(folder / METADATA, values)
    write_rows(folder / OUTPUT, [[*scene_rows()[0], "\x1b[31m\u202e"]])

    found = problems_of(tmp_path)

    assert any("a\\x1b[31m" in line for line in found)
    assert all(line.isprintable() and len(line) < 1000 for line in found)


def rename(name: str, to: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        (root / to).parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(root / to)

    return edit


FOLDER = f"task1/task1a/{LABEL}"


@pytest.mark.parametrize(
    ("edit", "lines"),
    [
        (
            rename(f"{FOLDER}/{OUTPUT}", f"{FOLDER}/Kim_SNU_task1a_2.output.csv"),
            [
                f"{FOLDER}: no {OUTPUT}; found Kim_SNU_task1a_1.meta.yaml",
                "Kim_SNU_task1a_2.output.csv is not a file of",
            ],
        ),
        (lambda root: (root / FOLDER / METADATA).unlink(), [f"{FOLDER}: no {METADATA}; found {OUTPUT}"]),
        (
            lambda root: (root / FOLDER / "notes.txt").write_text("x"),
            [f"{FOLDER}: notes.txt is not a file of a submission; remove it"],
        ),
        (
            lambda root: next(root.rglob("*.pdf")).unlink(),
            ["no technical report; expected LABEL.technical_report.pdf"],
        ),
        (
            lambda root: next(root.rglob("*.pdf")).write_bytes(b"Dear reviewers"),
            ["Kim_SNU_task1a.technical_report.pdf: is no PDF; expected the technical report"],
        ),
        (
            rename(FOLDER, "task1/task1a/Kim_task1a_1"),
            ["Kim_task1a_1 is no label of a task; expected a package with a folder for each system"],
        ),
        (lambda root: make_scene_package(root, "Kim_SNU_task1a_9"), ["its number is 9; expected 1 to 4"]),
    ],
    ids=["output", "metadata", "other file", "no report", "no PDF", "label", "number"],
)
def test_a_package_with_a_mistake(tmp_path: Path, edit: Callable[[Path], None], lines: list[str]) -> None:
    make_scene_package(tmp_path)
    edit(tmp_path)

    found = problems_of(tmp_path)

    assert len(found) == len(lines), found
    for line in lines:
        assert any(line in each for each in found), found


def test_a_submission_has_at_most_four_systems(tmp_path: Path) -> None:
    for author in ("Kim", "Lee", "Park", "Choi", "Han"):
        make_scene_package(tmp_path, f"{author}_SNU_task1a_1")

    assert problems_of(tmp_path) == ["task 1a of 2021: 5 systems; expected at most 4"]


def test_an_output_is_compared_with_the_evaluation_set(tmp_path: Path) -> None:
    make_scene_package(tmp_path / "package")
    for name in ("0.wav", "1.wav", "2.wav", "10.wav"):
        record(tmp_path / "set/audio" / name, 0.1)

    recordings = find_recordings(tmp_path / "set")
    found = check_package(tmp_path / "package", recordings).problems

    assert [each.filename for each in recordings] == ["0.wav", "1.wav", "2.wav", "10.wav"]
    assert [line.partition(": ")[2] for line in found] == ["3.wav is not in the evaluation set", "no row for 10.wav"]


@pytest.mark.parametrize("name", [b"stra\xdfe.wav", b"a\tb.wav"])
def test_a_name_that_no_output_can_contain_is_refused(tmp_path: Path, name: bytes) -> None:
    record(tmp_path / "a.wav", 0.1)
    (tmp_path / "a.wav").rename(tmp_path / os.fsdecode(name))

    with pytest.raises(DataError, match="the name has a control character or is not UTF-8; rename it"):
        find_recordings(tmp_path)


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no systems in it; expected a package with a folder for each system"):
        check_package(tmp_path)
    (tmp_path / "notes.zip").write_bytes(PDF)
    with pytest.raises(UserError, match=r"notes\.zip: cannot be read \(.*\); expected a submission's zip archive"):
        check_package(tmp_path / "notes.zip")
    with pytest.raises(UserError, match="no such file"):
        check_package(tmp_path / "nowhere.zip")
