"""Score files and ground truth, and messages for invalid ones."""

from pathlib import Path

import pytest

from dcase_sweep.evaluation.scenes.files import read_reference, read_scores
from dcase_sweep.utils.errors import UserError

REFERENCE = "filename\tscene_label\naudio/tram-lyon-1-10-a.wav\ttram\naudio/bus-lyon-1-11-s1.wav\tbus\n"
MATRIX = "0.1 0.9\n0.7 0.3\n"
TABLE = (
    "filename\tscene_label\ttram\tbus\nbus-lyon-1-11-s1.wav\tbus\t0.3\t0.7\naudio/tram-lyon-1-10-a.wav\tbus\t0.4\t0.6\n"
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_device_is_the_last_part_of_the_file_name(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))

    assert reference.devices == ("a", "s1")
    assert reference.classes == ("bus", "tram")
    assert reference.truth(reference.classes).tolist() == [1, 0]


def test_source_label_names_the_device_where_it_is_given(tmp_path: Path) -> None:
    text = "filename,scene_label,source_label\nx-a.wav,park,S2\ny-a.wav,park,phone\n"

    assert read_reference(write(tmp_path, "reference.csv", text)).devices == ("s2", "phone")


def test_a_label_that_contradicts_the_file_name_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text("filename\tscene_label\nbus-lyon-1-1-a.wav\ttram\ntram-lyon-1-2-a.wav\ttram\nx.wav\tbus\n")

    with pytest.raises(UserError, match=r"line 2: scene_label 'tram', but the file name says 'bus' \(bus-lyon-1-1-a"):
        read_reference(path)


def test_a_label_that_contradicts_the_file_name_is_rejected_where_devices_are_in_capitals(tmp_path: Path) -> None:
    rows = "bus-lyon-1-1-s1.wav\ttram\tS1\ntram-lyon-1-2-a.wav\ttram\tA\nx.wav\tbus\tB\n"
    path = write(tmp_path, "reference.csv", f"filename\tscene_label\tsource_label\n{rows}")

    with pytest.raises(UserError, match=r"line 2: scene_label 'tram', but the file name says 'bus'"):
        read_reference(path)


def test_names_without_a_device_give_no_devices(tmp_path: Path) -> None:
    text = "filename,scene_label\n1-100032-A-0.wav,dog\n1-110389-A-1.wav,rooster\n"

    assert read_reference(write(tmp_path, "reference.csv", text)).devices is None


def test_a_matrix_is_in_the_order_of_the_reference(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))

    scores = read_scores(write(tmp_path, "scores.txt", MATRIX), reference)

    assert scores.classes == ("bus", "tram")
    assert scores.values.tolist() == [[0.1, 0.9], [0.7, 0.3]]
    assert scores.scene_labels is None


def test_columns_without_names_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{clip}.wav\t{clip}\n" for clip in (10, 9, *range(9)))
    reference = read_reference(write(tmp_path, "reference.csv", f"filename\tscene_label\n{rows}"))

    assert reference.classes == tuple(map(str, range(11)))
    assert reference.truth(reference.classes).tolist() == [10, 9, *range(9)]


@pytest.mark.parametrize("text", [TABLE, TABLE.replace("\t", ","), "\ufeff" + TABLE, TABLE.replace("\n", "\r\n")])
def test_a_table_is_matched_by_file_name_and_column_name(tmp_path: Path, text: str) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))

    scores = read_scores(write(tmp_path, "scores.csv", text), reference)

    assert scores.classes == ("bus", "tram")
    assert scores.values.tolist() == [[0.6, 0.4], [0.7, 0.3]]
    assert scores.scene_labels == ("bus", "bus")
    assert scores.rows[0].endswith("scores.csv, line 3")


def test_a_table_may_score_scenes_that_no_clip_has(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    text = "filename,park,bus,tram\ntram-lyon-1-10-a.wav,.1,.2,.7\nbus-lyon-1-11-s1.wav,.3,.3,.4\n"

    scores = read_scores(write(tmp_path, "scores.csv", text), reference)

    assert scores.classes == ("bus", "park", "tram")
    assert scores.values[0].tolist() == [0.2, 0.1, 0.7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MATRIX + "0.5 0.5\n", r"scores.txt: 3 rows of scores; expected 2, one for each clip of .*reference.csv"),
        ("0.1 0.9\n", r"scores.txt: 1 rows of scores; expected 2"),
        ("0.1 0.9\n\n0.7\n", r"scores.txt, line 3: 1 scores; expected 2, one for each of bus, tram"),
        ("0.1 0.9\n0.7 high\n", r"scores.txt, line 2, column 2: 'high' is not a finite number"),
        ("0.1 nan\n0.7 0.3\n", r"scores.txt, line 1, column 2: 'nan' is not a finite number"),
        ("file,bus,tram\nx,1,2\n", r"line 1: neither scores nor a header with a column 'filename'"),
        ("", r"scores.txt: the file is empty"),
        (TABLE.replace("\tbus\n", "\tcar\n"), r"no column bus; found filename, scene_label, tram, car"),
        (TABLE.replace("\ttram\t", "\tbus\t"), r"column 'bus' occurs twice"),
        (TABLE.replace("wav\tbus", "wav\tcar", 1), r"line 2: unknown scene_label 'car'; expected one of bus, tram"),
        (TABLE.replace("0.7", ""), r"line 2, column bus: '' is not a finite number"),
        (TABLE.replace("\t0.7", ""), r"line 2: 3 cells; expected 4 as in the header"),
        (TABLE.replace("-11-s1", "-12-s1"), r"line 2: 'bus-lyon-1-12-s1.wav' is not in .*reference.csv"),
        (TABLE + "tram-lyon-1-10-a.wav\tbus\t1\t0\n", r"line 4: 'tram-lyon.*' occurs twice, first in .*line 3"),
        (TABLE[: TABLE.index("audio/")], r"no row for 'audio/tram-lyon-1-10-a.wav'; 1 of .*clips have none"),
        (TABLE[: TABLE.index("\n") + 1], r"a header without rows"),
    ],
)
def test_a_wrong_score_file_is_rejected_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    with pytest.raises(UserError, match=message) as refused:
        read_scores(write(tmp_path, "scores.txt", text), reference)
    assert "\n" not in str(refused.value)


def test_a_column_that_is_no_named_scene_is_rejected(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    text = TABLE.replace("\tbus\n", "\tbus\tcar\n", 1).replace("0.7\n", "0.7\t0\n").replace("0.6\n", "0.6\t0\n")
    with pytest.raises(UserError, match="unknown column 'car'; expected filename, scene_label and bus, tram"):
        read_scores(write(tmp_path, "scores.txt", text), reference, classes=("bus", "tram"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename\tlabel\nx.wav\tbus\n", r"reference.csv: no column scene_label; found filename, label"),
        ("filename\tscene_label\nx.wav\tbus\naudio/x.wav\tbus\n", r"line 3: 'audio/x.wav' occurs twice"),
        ("filename\tscene_label\nx.wav\t\n", r"line 2: scene_label is empty"),
        ("filename\tscene_label\tsource_label\nx.wav\tbus\t\n", r"line 2: source_label is empty"),
    ],
)
def test_a_wrong_reference_is_rejected_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_reference(write(tmp_path, "reference.csv", text))


def test_a_label_outside_the_classes_is_rejected_by_file_name(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    with pytest.raises(UserError, match=r"bus-lyon-1-11-s1.wav: unknown scene_label 'bus'; expected one of park, tram"):
        reference.truth(("park", "tram"))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "reference.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"reference.csv: (no such file|is not UTF-8)"):
        read_reference(path)


# --- tables that programs and people write otherwise ---------------------------------------------------------------


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_the_index_of_a_data_frame_is_no_scene(tmp_path: Path, index: str) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    text = f"{index},filename,bus,tram\n0,bus-lyon-1-11-s1.wav,.7,.3\n1,audio/tram-lyon-1-10-a.wav,.6,.4\n"

    scores = read_scores(write(tmp_path, "scores.csv", text), reference)

    assert scores.classes == ("bus", "tram")
    assert scores.values.tolist() == [[0.6, 0.4], [0.7, 0.3]]
    assert scores.ignored == (index,)


@pytest.mark.parametrize(
    ("name", "cells"), [("index", ("0", "1")), ("fold", ("1", "1")), ("Bus", ("0", "0")), ("max", (".6", ".7"))]
)
def test_a_further_column_that_is_no_scene_is_rejected(tmp_path: Path, name: str, cells: tuple[str, str]) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    rows = f"audio/tram-lyon-1-10-a.wav,.6,.4,{cells[0]}\nbus-lyon-1-11-s1.wav,.7,.3,{cells[1]}\n"
    text = f"filename,bus,tram,{name}\n{rows}"

    with pytest.raises(UserError, match=rf"unknown column '{name}'.*; expected filename, scene_label and bus, tram"):
        read_scores(write(tmp_path, "scores.csv", text), reference)


def test_columns_in_another_order_make_no_difference(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    text = "tram,filename,bus\n.4,audio/tram-lyon-1-10-a.wav,.6\n.3,bus-lyon-1-11-s1.wav,.7\n"

    assert read_scores(write(tmp_path, "scores.csv", text), reference).values.tolist() == [[0.6, 0.4], [0.7, 0.3]]


def test_blanks_in_cells_and_headers_make_no_difference(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE.replace("\ttram", "\ttram\u00a0")))
    text = TABLE.replace("\tbus\n", "\t bus\u200b\n", 1).replace("s1.wav", "s1.wav ")

    assert reference.classes == ("bus", "tram")
    assert read_scores(write(tmp_path, "scores.csv", text), reference).values.tolist() == [[0.6, 0.4], [0.7, 0.3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename\tscene_label\nx.wav\tbus\ny.wav\tBus\n", r"line 3: scene_label 'Bus' and 'bus' differ only in case"),
        ("filename\tscene_label\nx.wav\tbus\ny.wav\tЬus\nz.wav\tbυs\n", r"'bυs' \(character 2 is U\+03C5\) and 'bus'"),
        (
            "filename,scene_label,source_label\nx.wav,bus,a\ny.wav,tram,а\n",
            r"source_label 'а' \(character 1 is U\+0430",
        ),
        ("filename\tscene_label\n/data/x.wav\tbus\n", r"line 2: '/data/x.wav' is an absolute path"),
        ("filename\tscene_label\n../x.wav\tbus\n", r"line 2: '../x.wav' leads out of its folder"),
        ("filename\tscene_label\naudio\\x.wav\tbus\n", r"line 2: 'audio\\x.wav' has backslashes"),
        ("filename\tscene_label\nx.wav\tbus\ttram\n", r"line 2: 3 cells; expected 2 as in the header"),
    ],
)
def test_a_reference_that_misleads_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        read_reference(write(tmp_path, "reference.csv", text))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("bus", ""), "one of them is blank"),
        (("bus", "bus"), "the scene 'bus' is named twice"),
        (("tram", "Tram"), "the scenes 'Tram' and 'tram' differ only in case"),
    ],
)
def test_indistinguishable_classes_are_rejected(tmp_path: Path, classes: tuple[str, ...], message: str) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    with pytest.raises(UserError, match=message):
        read_scores(write(tmp_path, "scores.txt", MATRIX), reference, classes=classes)


def test_scores_of_hexadecimal_or_grouped_digits_are_no_scores(tmp_path: Path) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    with pytest.raises(UserError, match=r"line 1, column 2: '0_9' is not a finite number"):
        read_scores(write(tmp_path, "scores.txt", "0.1 0_9\n0.7 0.3\n"), reference)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("\t", ";"), r"no column .*\(separated by ';'; write tabs or commas\)"),
        (TABLE.replace("\t", "|"), r"no column .*\(separated by '\|'; write tabs or commas\)"),
        (MATRIX.replace(" ", ","), r"line 1: scores separated by ','; expected blanks or tabs"),
        (MATRIX.replace(" ", "; "), r"line 1: scores separated by ';'; expected blanks or tabs"),
    ],
)
def test_other_separators_are_named(tmp_path: Path, text: str, message: str) -> None:
    reference = read_reference(write(tmp_path, "reference.csv", REFERENCE))
    with pytest.raises(UserError, match=message):
        read_scores(write(tmp_path, "scores.txt", text), reference)
