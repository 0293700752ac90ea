"""Reading of tables."""

import gzip
import os
import time
import zipfile
from pathlib import Path

import pytest

from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.tables import (
    check_paths,
    check_spelling,
    parse_number,
    path_problem,
    read_table,
    stored_name,
    tidy_path,
)
from dcase_sweep.utils.text_files import MAX_BYTES, read_text

TEXT = "filename\tlabel\na.wav\tDog\nb.wav\tCat\n"


def read(folder: Path, content: str | bytes, **options: object):
    path = folder / "table.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, ("filename", "label"), **options)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\t", ","),
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT.rstrip("\n"),
        "\n\n" + TEXT.replace("\nb", "\n\n \nb"),
        TEXT.replace("Dog", '"Dog"').replace("label", '"label"'),
        TEXT.replace("Dog", " Dog ").replace("filename", " filename\u00a0"),
        TEXT.replace("Dog", "Dog\u00a0").replace("Cat", "\u200bCat"),
        TEXT.replace("Dog\n", "Dog\t\t \n"),
        "label\tnumber\tfilename\nDog\t1\ta.wav\nCat\t2\tb.wav\n",
    ],
)
def test_blanks_quotation_marks_line_ends_and_separators_make_no_difference(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)

    assert table.columns == {"filename": ["a.wav", "b.wav"], "label": ["Dog", "Cat"]}
    assert len(table) == 2


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path: Path) -> None:
    table = read(tmp_path, '\nfilename,label\na.wav,Dog\n\n"b.wav",Cat\n')

    assert table.where(1) == f"{tmp_path}/table.tsv, row 5"


def test_letters_are_composed(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT.replace("Dog", "Cafe\u0301")).columns["label"] == ["Café", "Cat"]


def test_rows_of_another_length_are_reported_and_the_others_read(tmp_path: Path) -> None:
    problems: list[str] = []
    table = read(tmp_path, TEXT + "c.wav\tDog\tCat\nd.wav\n", problems=problems)

    assert table.columns["filename"] == ["a.wav", "b.wav"]
    assert problems == [
        f"{tmp_path}/table.tsv, row 4: 3 cells; expected 2 as in the header",
        f"{tmp_path}/table.tsv, row 5: 1 cell; expected 2 as in the header",
    ]
    with pytest.raises(DataError, match="2 problems"):
        read(tmp_path, TEXT + "c.wav\tDog\tCat\nd.wav\n")


def test_a_row_may_end_after_its_first_cell_if_allowed(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT + "c.wav\n", may_be_short=True).columns["label"] == ["Dog", "Cat", ""]


@pytest.mark.parametrize("character", ["\x01", "\x1b", "\x7f", "\x85", "\u2028"])
def test_control_characters_are_rejected_and_shown(tmp_path: Path, character: str) -> None:
    with pytest.raises(DataError, match=r"row 2: label '.*\\u[0-9a-f]{4}.*' .*has a control character"):
        read(tmp_path, TEXT.replace("Dog", f"D{character}g"))


def test_a_cell_over_two_lines_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 3: label .* has a control character"):
        read(tmp_path, TEXT.replace("Dog", '"Do\ng"'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; expected a tab-separated table with filename, label"),
        (b" \n\t\n", "no column filename, label; found nothing|the file is empty"),
        (TEXT.encode("utf-16"), "is not UTF-8 text but UTF-16 text; save it as UTF-8"),
        (TEXT.replace("Dog", "Hörnchen").encode("latin-1"), r"is not UTF-8 text \(byte 22, row 2\)"),
        (gzip.compress(TEXT.encode(), mtime=0), "is not UTF-8 text but a gzip archive; unpack it first"),
        (b"PK\x03\x04rest", "is not UTF-8 text but a zip archive or a spreadsheet"),
        (b"RIFF\x00\x00\x00\x00WAVE", "but a recording"),
        (TEXT.replace("Dog", "D\0g").encode(), "is not text, row 2 contains a NUL character"),
        (TEXT.replace("Dog", "D" * 200_000).encode(), "row 2: is not a table: a cell of more than 131,072 characters"),
        (TEXT.replace("Dog", '"Dog').encode(), "a quotation mark is not closed"),
        (TEXT.replace("Dog", '"Dog" x').encode(), "something follows the closing quotation mark"),
        (TEXT.replace("label", "filename").encode(), "column 'filename' occurs twice"),
        (TEXT.replace("label", "Label").encode(), "no column label; found filename, Label .*differ only in case"),
        (TEXT.replace("label", "lаbel").encode(), r"U\+0430.*differ only in letters that look alike"),
        (TEXT.replace("\t", ";").encode(), "no column filename, label; found filename;label"),
    ],
)
def test_a_file_that_is_not_a_table_is_rejected_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path}/table.tsv")


def test_a_pipe_a_folder_and_a_device_are_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tsv")
    began = time.process_time()
    for path, kind in ((tmp_path / "pipe.tsv", "a pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a device")):
        with pytest.raises(UserError, match=f"is {kind}, not a file"):
            read_text(path)
    assert time.process_time() - began < 5
    with pytest.raises(UserError, match="no such file"):
        read_text(tmp_path / "nowhere.tsv")
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path / "a\0b.tsv")


def test_a_huge_file_is_rejected_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "huge.tsv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match="has 256 MiB; expected a text file of at most 256 MiB"):
        read_text(tmp_path / "huge.tsv")


def test_an_archive_in_place_of_a_table_is_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "table.tsv", "w") as archive:
        archive.writestr("table.tsv", TEXT)
    with pytest.raises(UserError, match="zip archive"):
        read_table(tmp_path / "table.tsv", ("filename",))


def test_values_that_look_the_same_are_reported(tmp_path: Path) -> None:
    table = read(tmp_path, TEXT + "c.wav\tDоg\nd.wav\tcat\ne.wav\tCat\n")

    assert check_spelling(table, "label") == [
        f"{tmp_path}/table.tsv, row 4: label 'Dоg' (character 2 is U+043E) and 'Dog' differ only in letters that look "
        "alike (row 2); expected one spelling",
        f"{tmp_path}/table.tsv, row 5: label 'cat' and 'Cat' differ only in case (row 3); expected one spelling",
    ]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.wav", "audio/../../a.wav", "C:\\a.wav", "C:/a.wav", "audio\\a.wav", "~/a.wav", "a/.."]
)
def test_paths_that_leave_the_folder_are_rejected(tmp_path: Path, name: str) -> None:
    assert path_problem(name)
    assert check_paths(read(tmp_path, TEXT + f"{name}\tDog\n"))[0].startswith(f"{tmp_path}/table.tsv, row 4: '{name}'")


@pytest.mark.parametrize("name", ["a.wav", "audio/a.wav", "./a.wav", "a..wav", "audio/..a.wav", "xy:z.wav", "a~.wav"])
def test_paths_inside_the_folder_are_accepted(name: str) -> None:
    assert path_problem(name) is None


def test_each_file_has_one_name() -> None:
    assert {tidy_path(name) for name in ("audio/a.wav", "./audio/a.wav", "audio//a.wav", "audio/./a.wav")} == {
        "audio/a.wav"
    }


def test_a_name_with_an_accent_is_found_in_the_form_stored_on_disk(tmp_path: Path) -> None:
    (tmp_path / "Cafe\u0301.wav").touch()

    assert stored_name(tmp_path, "Café.wav") in {path.name for path in tmp_path.iterdir()}
    assert stored_name(tmp_path, "é.wav") == "é.wav"


@pytest.mark.parametrize(("text", "value"), [("1.5", 1.5), (".5", 0.5), ("-2.", -2.0), ("1e-3", 1e-3), ("+7", 7.0)])
def test_numbers(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", "1,5", "0x10", "１", "1e999", "1 2", "1\n"])
def test_other_text_is_not_a_number(text: str) -> None:
    assert parse_number(text) is None
