"""Data sets in TAU's layout: reading, and the report of all problems."""

import csv
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcase_sweep.data.tau import TAU
from dcase_sweep.utils.errors import DataError, UserError
from tests.layout import read_table, write_table


def load(root: Path, **more: object) -> object:
    return TAU(name="tiny", root=str(root), **more).load()  # type: ignore[arg-type]


def test_splits_labels_and_devices(tau: Path) -> None:
    data = TAU(name="tiny", root=str(tau)).load()

    assert data.classes == ("bus", "park", "tram")
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 12, 12)
    assert set(data.devices(data.test)) == {"a", "b"}
    places = [{data.recordings[i].location for i in split} for split in (data.train, data.validation, data.test)]
    assert not places[0] & places[1]
    assert not (places[0] | places[1]) & places[2]
    assert [data.classes[data.targets[i]] for i in data.test] == [data.recordings[i].scene_label for i in data.test]


def test_labels_come_from_the_metadata(tau: Path) -> None:
    for name in ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"):
        rows = [{**row, "scene_label": f"my_{row['scene_label']}"} for row in read_table(tau / name)]
        write_table(tau / name, rows)

    assert TAU(name="tiny", root=str(tau)).load().classes == ("my_bus", "my_park", "my_tram")


def test_all_problems_are_reported_together(tau: Path) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    test = read_table(tau / "evaluation_setup/fold1_evaluate.csv")
    missing, empty, truncated = (tau / train[index]["filename"] for index in (0, 4, 8))
    missing.unlink()
    empty.write_bytes(b"")
    truncated.write_bytes(truncated.read_bytes()[:1000])
    train[12]["scene_label"] = "moon"
    train.append(dict(test[0]))
    train.append({"filename": "audio/unheard.wav", "scene_label": "bus"})
    write_table(tau / "evaluation_setup/fold1_train.csv", train)

    with pytest.raises(DataError) as caught:
        load(tau)

    text = str(caught.value)
    assert f"{missing}: listed but not on disk" in text
    assert f"{empty}: 0 bytes" in text
    assert f"{truncated}: truncated" in text
    assert "fold1_train.csv, row 14: unknown label 'moon'; expected one of bus, park, tram" in text
    assert f"{test[0]['filename']}: in the training list (row 38) and in the test list (row 2)" in text
    assert "fold1_train.csv, row 39: audio/unheard.wav is not in meta.csv" in text


def test_a_location_in_both_training_and_test_is_rejected(tau: Path) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    test = read_table(tau / "evaluation_setup/fold1_evaluate.csv")
    moved = train.pop(0)
    write_table(tau / "evaluation_setup/fold1_train.csv", train)
    write_table(tau / "evaluation_setup/fold1_evaluate.csv", [*test, moved])

    with pytest.raises(DataError, match=r"location paris-00 of bus: trained on .* and tested on"):
        load(tau)


def test_duplicates_and_empty_cells_in_the_metadata(tau: Path) -> None:
    meta = read_table(tau / "meta.csv")
    write_table(tau / "meta.csv", [*meta, meta[0], {**meta[1], "filename": "audio/x.wav", "source_label": ""}])

    with pytest.raises(DataError) as caught:
        load(tau)

    assert f"row 50: {meta[0]['filename']} is also in row 2" in str(caught.value)
    assert "row 51: an empty cell" in str(caught.value)


def test_a_missing_column_names_what_was_found(tau: Path) -> None:
    rows = [{key: row[key] for key in ("filename", "scene_label")} for row in read_table(tau / "meta.csv")]
    write_table(tau / "meta.csv", rows)

    with pytest.raises(UserError, match="no column identifier, source_label; found filename, scene_label"):
        load(tau)


def test_missing_tables_columns_and_unseen_scenes_are_reported_together(tau: Path) -> None:
    (tau / "meta.csv").unlink()
    write_table(tau / "evaluation_setup/fold1_train.csv", [{"name": "audio/x.wav"}])

    with pytest.raises(DataError) as caught:
        load(tau, validation_list="mine.csv")

    found = caught.value.problems
    assert [problem.split(": ")[0] for problem in found] == [
        str(tau / "meta.csv"),
        str(tau / "evaluation_setup/fold1_train.csv"),
        str(tau / "mine.csv"),
    ]
    assert "no such file" in found[0]
    assert "no column filename, scene_label; found name" in found[1]


def test_unseen_scenes_and_a_bad_validation_list_are_reported_with_the_rest(tau: Path) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    (tau / train[-1]["filename"]).write_bytes(b"")
    rest = [row for row in train if row["scene_label"] != "bus"]
    write_table(tau / "evaluation_setup/fold1_train.csv", rest)
    write_table(tau / "mine.csv", [{"filename": "audio/unheard.wav"}, {"filename": rest[0]["filename"]}])

    with pytest.raises(DataError) as caught:
        load(tau, validation_list="mine.csv")

    text = str(caught.value)
    assert "test clips of bus, but no training clips" in text
    assert "mine.csv, row 2: audio/unheard.wav is not a training clip" in text
    assert "other clips of its location" in text
    assert "0 bytes" in text


@pytest.mark.parametrize(("part", "what"), [("train", "train on"), ("evaluate", "test on")])
def test_a_list_without_rows_is_rejected(tau: Path, part: str, what: str) -> None:
    path = tau / f"evaluation_setup/fold1_{part}.csv"
    path.write_text("filename\tscene_label\n")

    with pytest.raises(DataError) as caught:
        load(tau)

    assert caught.value.problems == [f"{path}: a header without rows; expected the clips to {what}"]


def test_a_validation_list_without_rows(tau: Path) -> None:
    (tau / "mine.csv").write_text("filename\n")

    with pytest.raises(DataError, match=r"mine\.csv: a header without rows; expected the clips to validate on"):
        load(tau, validation_list="mine.csv")


def test_a_validation_list_without_clips_left_for_training_is_rejected(tau: Path) -> None:
    rows = read_table(tau / "evaluation_setup/fold1_train.csv")
    write_table(tau / "mine.csv", [{"filename": row["filename"]} for row in rows])

    with pytest.raises(DataError, match=r"mine\.csv: holds out every training clip"):
        load(tau, validation_list="mine.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("filename\tscene_label\ncaf\xe9.wav\tbus\n".encode("latin-1"), "is not UTF-8 text"),
        (b"filename\tscene_label\n" + b"x" * 200_000 + b"\tbus\n", "a cell of more than 131,072 characters"),
    ],
)
def test_a_table_that_cannot_be_read(tau: Path, content: bytes, says: str) -> None:
    path = tau / "evaluation_setup/fold1_train.csv"
    path.write_bytes(content)

    with pytest.raises(DataError) as caught:
        load(tau)

    assert caught.value.problems[0].startswith(str(path))
    assert says in caught.value.problems[0]


@pytest.mark.parametrize(("root", "says"), [(None, "data.root is not set"), ("/nowhere", "no such folder")])
def test_a_missing_root(root: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        TAU(name="tiny", root=root).load()


def test_the_folder_around_the_root_names_it(tau: Path, tmp_path: Path) -> None:
    moved = tau.rename(tmp_path / "TAU-urban-acoustic-scenes-2020-mobile-development")

    with pytest.raises(UserError, match=rf"no meta.csv in it; did you mean data.root={moved}\?$"):
        load(tmp_path)


def test_a_custom_validation_list_is_used(tau: Path) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    own = [{"filename": row["filename"]} for row in train if "-paris-00-" in row["filename"]]
    write_table(tau / "evaluation_setup/mine.csv", own)

    data = TAU(name="tiny", root=str(tau), validation_list="evaluation_setup/mine.csv").load()

    assert [data.recordings[i].filename for i in data.validation] == sorted(row["filename"] for row in own)


def test_a_location_in_both_train_and_validation_is_rejected(tau: Path) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    write_table(tau / "evaluation_setup/mine.csv", [{"filename": train[0]["filename"]}])

    with pytest.raises(DataError, match=r"other clips of its location paris-00 are trained on"):
        load(tau, validation_list="evaluation_setup/mine.csv")


def test_the_fingerprint_depends_on_devices_and_locations(tau: Path) -> None:
    before = TAU(name="tiny", root=str(tau)).load().fingerprint
    meta = read_table(tau / "meta.csv")
    write_table(tau / "meta.csv", [{**row, "source_label": row["source_label"].replace("b", "c")} for row in meta])
    device = TAU(name="tiny", root=str(tau)).load().fingerprint
    write_table(tau / "meta.csv", [{**row, "identifier": row["identifier"] + "x"} for row in meta])
    location = TAU(name="tiny", root=str(tau)).load().fingerprint

    assert len({before, device, location}) == 3


def test_the_fingerprint_depends_on_labels_and_splits(tau: Path) -> None:
    first = TAU(name="tiny", root=str(tau)).load()
    again = TAU(name="renamed", root=str(tau)).load()
    other = TAU(name="tiny", root=str(tau), validation_seed=3).load()

    assert first.fingerprint == again.fingerprint != other.fingerprint


def some_of_esc10(esc10: Path, folder: Path) -> Path:
    """Create a recording of each class and fold, with one clip each."""
    with (esc10 / "meta.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    recordings = {(row["label"], row["fold"], row["recording"]): row for row in rows}
    folder.mkdir()
    (folder / "audio").symlink_to(esc10 / "audio")
    with (folder / "meta.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        for _, group in itertools.groupby(sorted(recordings), key=lambda each: each[:2]):
            writer.writerows(recordings[each] for each in itertools.islice(group, 1))
    return folder


def test_esc10_in_taus_layout(shared: Path, tmp_path: Path) -> None:
    source = some_of_esc10(shared / "data/esc10", tmp_path / "some")
    tool = shared / "tools/build_real_tau.py"
    subprocess.run([sys.executable, tool, tmp_path / "esc", "--source", source], check=True)

    data = TAU(name="esc10", root=str(tmp_path / "esc")).load()

    assert len(data.classes) == 10
    assert len(data.test) == 10 * 9
    assert {"s4", "s5", "s6"} <= set(data.devices(data.test))
    assert not {"s4", "s5", "s6"} & set(data.devices(data.train))


# --- tables that people write by hand ----------------------------------------------------------------------------


def change(path: Path, row: int, **cells: str) -> None:
    rows = read_table(path)
    rows[row] |= cells
    write_table(path, rows)


@pytest.mark.parametrize("after", [" ", "\u00a0", "\u200b"])
def test_a_blank_after_a_location_does_not_hide_a_leak(tau: Path, after: str) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    test = read_table(tau / "evaluation_setup/fold1_evaluate.csv")
    moved = train.pop(0)
    write_table(tau / "evaluation_setup/fold1_train.csv", train)
    write_table(tau / "evaluation_setup/fold1_evaluate.csv", [*test, moved])
    meta = read_table(tau / "meta.csv")
    row = next(index for index, entry in enumerate(meta) if entry["filename"] == moved["filename"])
    change(tau / "meta.csv", row, identifier=meta[row]["identifier"] + after)

    with pytest.raises(DataError, match=r"location paris-00 of bus: trained on .* and tested on"):
        load(tau)


@pytest.mark.parametrize(
    ("column", "spelling"),
    [
        ("identifier", "Paris-00"),
        ("identifier", "pаris-00"),  # Cyrillic а
        ("identifier", "paris–00"),
        ("identifier", "paris -00"),
        ("scene_label", "Bus"),
        ("scene_label", "b us"),
        ("source_label", "A"),
        ("source_label", "ａ"),
    ],
)
def test_a_second_spelling_in_the_metadata_is_rejected(tau: Path, column: str, spelling: str) -> None:
    change(tau / "meta.csv", 0, **{column: spelling})

    with pytest.raises(DataError, match=rf"meta\.csv, row \d+: {column} .* differ only in (case|blanks|letters)"):
        load(tau)


def test_a_label_of_a_list_that_only_looks_right_is_reported(tau: Path) -> None:
    change(tau / "evaluation_setup/fold1_train.csv", 0, scene_label="bus".replace("u", "υ"))

    with pytest.raises(DataError, match=r"unknown label 'bυs' \(character 2 is U\+03C5\), which differs from 'bus'"):
        load(tau)


@pytest.mark.parametrize("name", ["/etc/passwd", "../audio/a.wav", "C:\\audio\\a.wav", "audio\\a.wav"])
@pytest.mark.parametrize(
    "table", ["meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"]
)
def test_paths_that_leave_the_root_are_rejected_in_every_table(tau: Path, table: str, name: str) -> None:
    change(tau / table, 0, filename=name)

    with pytest.raises(DataError, match=rf"{table}, row 2: '.*' (is an absolute path|leads out|begins with|has back)"):
        load(tau)


def test_two_spellings_of_a_path_name_one_file(tau: Path) -> None:
    train = read_table(tau / "evaluation_setup/fold1_train.csv")
    test = read_table(tau / "evaluation_setup/fold1_evaluate.csv")
    again = {**test[0], "filename": "./" + test[0]["filename"]}
    write_table(tau / "evaluation_setup/fold1_train.csv", [*train, again])

    with pytest.raises(DataError, match=r"in the training list \(row \d+\) and in the test list \(row 2\)"):
        load(tau)


def test_a_table_with_commas_is_read(tau: Path) -> None:
    before = load(tau).fingerprint
    for table in ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"):
        path = tau / table
        path.write_text(path.read_text().replace("\t", ","))

    assert load(tau).fingerprint == before


def test_a_single_scene_is_rejected(tau: Path) -> None:
    for table in ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"):
        write_table(tau / table, [row | {"scene_label": "bus"} for row in read_table(tau / table)])

    with pytest.raises(DataError, match="every clip is of the scene bus; expected at least two scenes"):
        load(tau)


def test_a_table_that_is_a_pipe_does_not_hang(tau: Path) -> None:
    (tau / "meta.csv").unlink()
    os.mkfifo(tau / "meta.csv")

    with pytest.raises(DataError, match=r"meta\.csv: is a pipe, not a file"):
        load(tau)


# --- columns that do not belong together --------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["scene_label", "identifier", "source_label"])
def test_a_value_that_contradicts_the_file_name_is_refused(tau: Path, column: str) -> None:
    meta = read_table(tau / "meta.csv")
    first, other = meta[0], next(row for row in meta if row[column] != meta[0][column])
    write_table(tau / "meta.csv", [{**first, column: other[column]}, *meta[1:]])

    with pytest.raises(DataError) as caught:
        load(tau)

    assert (
        f"{tau / 'meta.csv'}, row 2: {column} {other[column]!r}, but the file name says {first[column]!r} "
        f"({first['filename']}); expected the same"
    ) in caught.value.problems


def test_scenes_that_were_merged_are_accepted(tau: Path) -> None:
    for name in ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"):
        rows = [{**row, "scene_label": row["scene_label"].replace("tram", "bus")} for row in read_table(tau / name)]
        write_table(tau / name, rows)

    assert TAU(name="tiny", root=str(tau)).load().classes == ("bus", "park")


def test_test_clips_without_a_label_are_counted(tau: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = read_table(tau / "evaluation_setup/fold1_evaluate.csv")
    write_table(tau / "evaluation_setup/fold1_test.csv", [{"filename": row["filename"]} for row in rows])
    load(tau)
    assert caplog.records == []

    write_table(tau / "evaluation_setup/fold1_evaluate.csv", rows[:-2])
    load(tau)

    assert [record.message for record in caplog.records] == [
        "data      2 of 12 clips of fold1_test.csv are not in fold1_evaluate.csv and are not tested: "
        f"{rows[-2]['filename']}, ..."
    ]
