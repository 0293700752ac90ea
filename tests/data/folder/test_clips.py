"""Own recordings with one class each: labels from folders or a table, and splits without leaks."""

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dcase_sweep.data.folder.clips import ClipFolder
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.evaluation.scenes.result import evaluate_scene_scores
from dcase_sweep.utils.errors import DataError, UserError
from tests.folder_layouts import make_class_folders, make_esc50, make_urbansound8k, write_csv, write_tone


def load(root: Path, **settings: Any) -> SceneData:
    return ClipFolder(root=str(root), **settings).load()


def problems_of(root: Path, **settings: Any) -> list[str]:
    with pytest.raises(DataError) as refused:
        load(root, **settings)
    return refused.value.problems


def names(data: SceneData, split: str) -> set[str]:
    return {data.recordings[index].filename for index in data.splits[split]}


def groups(data: SceneData, split: str) -> set[str]:
    return {data.recordings[index].location for index in data.splits[split]}


def test_a_folder_for_each_class_is_split_by_class(tmp_path: Path) -> None:
    data = load(make_class_folders(tmp_path / "sounds", clips=10))

    assert data.name == "sounds"
    assert data.classes == ("bird", "car")
    for split, clips in (("test", 2), ("validation", 1), ("train", 7)):
        labels = Counter(data.recordings[index].scene_label for index in data.splits[split])
        assert labels == {"bird": clips, "car": clips}, split
    assert not names(data, "train") & names(data, "test")
    assert data.devices(data.test) is None
    assert data.description == "sounds: 14 train, 2 validation, 4 test clips, 2 classes"


def test_the_same_seed_gives_the_same_split_and_another_seed_another(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path, clips=10)

    assert load(root).fingerprint == load(root).fingerprint
    assert names(load(root), "test") != names(load(root, split_seed=1), "test")


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for split in ("train", "valid", "eval"):
        make_class_folders(tmp_path / "audio" / split, clips=2)

    data = load(tmp_path)

    assert data.classes == ("bird", "car")
    assert all(name.startswith("audio/valid/") for name in names(data, "validation"))
    assert all(name.startswith("audio/eval/") for name in names(data, "test"))
    assert ("labels", "a folder for each class: audio/SPLIT/CLASS/") in data.notes


def test_a_recording_outside_of_the_folders_of_classes_is_reported(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path)
    write_tone(root / "stray.wav", hertz=100)

    assert any("stray.wav: in no folder of a class" in line for line in problems_of(root))


def test_esc50_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    root = make_esc50(tmp_path / "ESC-50-master")

    data = load(root)

    assert data.classes == ("dog", "rooster")
    assert names(data, "test") == {"audio/1-100010-A-0.wav", "audio/1-100011-A-1.wav"}
    assert not groups(data, "train") & groups(data, "validation")
    assert dict(data.notes) == {
        "labels": "meta/esc50.csv: filename, label = category, group = src_file, fold",
        "split": (
            "fold 1 of 1, 2, 3, 4, 5 is tested (data.fold chooses another); 10 % of the rest to validate, by class and "
            "group"
        ),
    }
    assert names(load(root, fold=4), "test") == {"audio/4-100040-A-0.wav", "audio/4-100041-A-1.wav"}


def test_urbansound8k_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    data = load(make_urbansound8k(tmp_path / "UrbanSound8K"), fold=10)

    assert data.classes == ("dog_bark", "siren")
    assert names(data, "test") == {"audio/fold10/1010-3-0-10.wav"}
    assert "filename = slice_file_name, label = class, group = fsID, fold" in dict(data.notes)["labels"]
    assert "1 group in two splits of the table" in dict(data.notes)["leak"]
    assert "group 1001 is in fold 3, but also in 1 (row 2)" in dict(data.notes)["leak"]


def test_the_table_names_split_group_and_device(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path, clips=3)
    rows = [
        (f"{label}/{number}.wav", label, split, f"{label} at place {number}", "phone")
        for label in ("bird", "car")
        for number, split in enumerate(("train", "val", "test"))
    ]
    write_csv(root / "labels.csv", ("filename", "label", "split", "group", "device"), rows)

    data = load(root, table="labels.csv")

    assert names(data, "train") == {"bird/0.wav", "car/0.wav"}
    assert names(data, "validation") == {"bird/1.wav", "car/1.wav"}
    assert data.devices(data.test) == ["phone", "phone"]
    assert dict(data.notes)["split"] == "train, validation, test as given"


def test_a_group_is_never_divided(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path, clips=12)
    rows = [
        (f"{label}/{number}.wav", label, f"{label}{number // 3}") for label in ("bird", "car") for number in range(12)
    ]
    write_csv(root / "labels.tsv", ("file", "class", "session"), rows, "\t")

    for settings in ({}, {"fold": 1, "folds": 2}, {"fold": 2, "folds": 2}, {"split_seed": 3}):
        data = load(root, **settings)
        parts = [groups(data, split) for split in ("train", "validation", "test")]
        assert all(parts), settings
        assert sum(map(len, parts)) == len(set().union(*parts)) == 8, settings


def test_made_folds_test_every_recording_once(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path, clips=6)

    tested = [names(load(root, fold=fold, folds=3), "test") for fold in (1, 2, 3)]

    assert sum(map(len, tested)) == len(set().union(*tested)) == 12
    assert all(sum(name.startswith("bird/") for name in fold) == 2 for fold in tested)


def test_a_group_in_two_given_splits_is_rejected(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path, clips=3)
    rows = [
        (f"{label}/{number}.wav", label, split, "garden")
        for label in ("bird", "car")
        for number, split in enumerate(("train", "test", "train"))
    ]
    write_csv(root / "labels.csv", ("filename", "label", "split", "group"), rows)

    assert problems_of(root)[0] == (
        f"{root}/labels.csv, row 3: group garden is in split test, but also in train (row 2); expected a group in one "
        "split"
    )
    assert len(load(root, columns={"group": False}).test) == 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a/0.wav", "bird"), ("a/0.wav", "car")], "row 3: a/0.wav is also in row 2; expected each file once"),
        (
            [("a/0.wav", "bird"), ("b/9.wav", "car")],
            "row 3: b/9.wav is not on disk; restore the file or remove its row",
        ),
        ([("a/0.wav", "bird"), ("b/0.wav", "")], "row 3: label is empty; expected a value in every row"),
        ([("a/0.wav", "bird"), ("0.wav", "car")], "row 3: 0.wav may be a/0.wav and b/0.wav; expected its path"),
        ([("a/0.wav", "bird"), ("../b/0.wav", "car")], "row 3: '../b/0.wav' leads out of its folder"),
        ([("a/0.wav", "bird"), ("b/0.wav", "Bird")], "row 3: label 'Bird' and 'bird'"),
        ([("a/0.wav", "bird"), ("b/0.wav", "bird")], "all recordings are of the class bird; expected at least two"),
    ],
    ids=["twice", "missing", "empty", "ambiguous", "outside", "spelling", "single"],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: list[tuple[str, str]], says: str) -> None:
    for folder in "ab":
        write_tone(tmp_path / folder / "0.wav", hertz=300)
    write_csv(tmp_path / "labels.csv", ("filename", "label"), rows)

    assert any(says in line for line in problems_of(tmp_path)), problems_of(tmp_path)


@pytest.mark.parametrize(
    ("on_disk", "listed", "says"),
    [
        ("a/1.WAV", "a/1.wav", "row 4: a/1.wav is not on disk, but a/1.WAV is; correct the name"),
        ("a/1.flac", "1.wav", "row 4: 1.wav is not on disk, but a/1.flac is; correct the name"),
        ("a/1.m4a", "1.m4a", "row 4: 1.m4a has a format that libsndfile cannot read; convert it to WAV or FLAC"),
        ("a/1.m4a", "a/1", "row 4: a/1 has a format that libsndfile cannot read"),
    ],
)
def test_a_file_that_is_nearly_the_one_of_a_row_is_named(tmp_path: Path, on_disk: str, listed: str, says: str) -> None:
    for folder in "ab":
        write_tone(tmp_path / folder / "0.wav", hertz=300)
    write_csv(tmp_path / "labels.csv", ("filename", "label"), [("a/0.wav", "x"), ("b/0.wav", "y"), (listed, "x")])
    (tmp_path / on_disk).write_bytes((tmp_path / "a/0.wav").read_bytes())

    assert any(says in line for line in problems_of(tmp_path)), problems_of(tmp_path)


def test_a_path_out_of_the_folder_is_one_problem(tmp_path: Path) -> None:
    write_tone(tmp_path / "a/0.wav", hertz=300)
    write_csv(tmp_path / "labels.csv", ("filename", "label"), [("a/0.wav", "x"), ("a\\1.wav", "y"), ("/b.wav", "y")])

    rows = [line for line in problems_of(tmp_path) if "row" in line]

    assert len(rows) == 2
    assert "backslashes" in rows[0]
    assert "absolute" in rows[1]


def test_recordings_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path / "own")
    for name in ("bird/a.m4a", "bird/b.AAC", "car/._c.m4a"):
        (root / name).write_bytes(b"other")

    expected = "2 files that libsndfile cannot read (.aac, .m4a); convert to WAV or FLAC"
    assert ("left out", expected) in load(root).notes
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone/a.m4a").write_bytes(b"other")
    with pytest.raises(UserError, match=r"no recordings, but 1 file that libsndfile cannot read \(.m4a\)"):
        load(tmp_path / "phone")


def test_folders_of_splits_beside_others_are_rejected(tmp_path: Path) -> None:
    for split in ("train", "test", "spare"):
        make_class_folders(tmp_path / split)

    assert problems_of(tmp_path)[0].startswith(
        f"{tmp_path}: the folders test, train name splits, but spare names none; expected only splits or only classes"
    )


def test_folders_of_splits_within_those_of_classes_are_named(tmp_path: Path) -> None:
    for label in ("bird", "car"):
        for split in ("train", "test"):
            for number in range(5):
                write_tone(tmp_path / label / split / f"{number}.wav", hertz=300)

    assert load(tmp_path).notes[0] == (
        "labels",
        "a folder for each class: CLASS/ (test, train within them are not used; splits are folders above the classes)",
    )


def test_train_may_be_a_class(tmp_path: Path) -> None:
    for number in range(5):
        for label in ("train", "tram"):
            write_tone(tmp_path / label / f"{number}.wav", hertz=300)

    assert load(tmp_path).classes == ("train", "tram")


def test_recordings_without_any_label_are_one_problem(tmp_path: Path) -> None:
    for number in range(5):
        write_tone(tmp_path / f"{number}.wav", hertz=300)
    write_csv(tmp_path / "own.csv", ("Datei", "Klasse"), [("0.wav", "x")])

    assert problems_of(tmp_path) == [
        f"{tmp_path}: 5 recordings in no folder of a class, and no table with names and labels (own.csv has Datei, "
        "Klasse); expected CLASS/0.wav, or a table with filename and label"
    ]


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_class_folders(tmp_path)
    (root / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    load(root)

    assert f"left out  {root}/closed: Permission denied" in caplog.text


def test_missing_files_can_be_left_out(tmp_path: Path) -> None:
    root = make_esc50(tmp_path)
    (root / "audio/2-100020-A-0.wav").unlink()

    assert "row 4: 2-100020-A-0.wav is not on disk" in problems_of(root)[0]
    assert ("missing", "1 row of the table without a file on disk") in load(root, skip_invalid=True).notes


def test_files_that_are_no_audio_are_named_with_the_problems_of_the_table(tmp_path: Path) -> None:
    root = make_esc50(tmp_path)
    broken = root / "audio/3-100030-A-0.wav"
    broken.write_bytes(b"no sound")
    (root / "audio/2-100020-A-0.wav").unlink()

    found = problems_of(root)

    assert len(found) == 2
    assert str(broken) in found[1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fold": 6}, "data.fold=6: .* has no such fold; expected one of 1, 2, 3, 4, 5"),
        ({"columns": {"lable": "category"}}, "data.columns.lable: no such key; did you mean data.columns.label?"),
        ({"columns": {"label": "kind"}}, "data.columns.label=kind: no table under .* has this column, names"),
        (
            {"columns": {"label": "kind"}, "table": "meta/esc50.csv"},
            "data.columns.label=kind: .*esc50.csv has no such column; expected one of filename, fold, target",
        ),
        ({"table": "meta/other.csv"}, "data.table=meta/other.csv: no such file in"),
        ({"test_fraction": 1.0}, "data.test_fraction=1.0: expected a fraction between 0 and 1"),
        ({"fold": 1, "folds": 1}, "data.folds=1: expected at least 2"),
    ],
    ids=["fold", "key", "column", "column of the table", "table", "fraction", "folds"],
)
def test_a_wrong_setting_is_rejected_in_one_line(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    root = make_esc50(tmp_path)

    with pytest.raises(UserError, match=says):
        load(root, **settings)


def test_another_column_can_hold_the_label(tmp_path: Path) -> None:
    assert load(make_esc50(tmp_path), columns={"label": "target"}).classes == ("0", "1")


def test_one_of_several_tables_is_chosen(tmp_path: Path) -> None:
    root = make_esc50(tmp_path)
    shutil.copy(root / "meta/esc50.csv", root / "meta/esc10.csv")

    with pytest.raises(UserError, match=r"2 tables with names and labels: meta/esc10.csv, meta/esc50.csv; select one"):
        load(root)
    assert len(load(root, table="meta/esc50.csv").recordings) == 10


def test_results_of_predict_are_not_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_class_folders(tmp_path / "own")
    labels = load(root).classes
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.wav"))
    likely = [[name, labels[0], *(str(1 - place) for place in range(len(labels)))] for name in names]
    write_csv(root / "scenes.csv", ("filename", "scene_label", *labels), likely)
    windows = [[name, "0", "1", labels[0], "0.9"] for name in names]
    write_csv(root / "windows.csv", ("filename", "onset", "offset", "scene_label", "confidence"), windows)

    with caplog.at_level("INFO"):
        data = load(root)

    assert data.classes == labels
    assert dict(data.notes)["labels"].startswith("a folder for each class")
    assert "left out  scenes.csv: results of predict; data.table=scenes.csv reads it" in caplog.messages
    assert "data.table=windows.csv" in caplog.text
    with pytest.raises(DataError, match=f"all recordings are of the class {labels[0]}"):
        load(root, table="scenes.csv")


def test_results_of_runs_in_the_folder_are_not_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_esc50(tmp_path)
    names = [f"audio/{path.name}" for path in sorted(root.rglob("*.wav"))]
    result = evaluate_scene_scores(
        np.eye(2)[np.arange(len(names)) % 2],
        np.zeros(len(names), dtype=np.int64),
        classes=("dog", "rooster"),
        devices=None,
        filenames=names,
    )
    run = root / "outputs/2026-11-28/12-00-00"
    run.mkdir(parents=True)
    for name, text in result.files.items():
        (run / name).write_text(text, encoding="utf-8")

    with caplog.at_level("INFO"):
        data = load(root)

    assert dict(data.notes)["labels"].startswith("meta/esc50.csv")
    assert "left out  3 tables with results of runs: outputs/2026-11-28/12-00-00/clips.csv, ..." in caplog.messages


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"filename;label\na.wav;a\n", "labels.csv: separated by semicolons; expected commas or tabs"),
        ("filename,label\na.wav,a\n".encode("utf-16"), "labels.csv: is not UTF-8 text but UTF-16 text"),
    ],
    ids=["semicolons", "utf-16"],
)
def test_a_table_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_class_folders(tmp_path / "own")
    (root / "labels.csv").write_bytes(content)

    with caplog.at_level("INFO"):
        load(root)

    assert says in caplog.text


def test_names_in_any_script_and_form_are_found(tmp_path: Path) -> None:
    decomposed = "ca\u0301ma"
    for label in (decomposed, "강아지"):
        for number in range(5):
            write_tone(tmp_path / label / f"{number} 소리.wav", hertz=300 + number)

    data = load(tmp_path)

    assert data.classes == ("cáma", "강아지")
    assert all((tmp_path / name).is_file() for name in data.filenames)


def test_a_name_with_a_line_end_is_rejected(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path / "own")
    write_tone(root / "car/a\nb.wav", hertz=100)
    write_tone(tmp_path / "odd/a\nb.wav", hertz=100)

    assert any("control character" in line and "a\\nb.wav" in line for line in problems_of(root))
    assert [line.partition(": ")[2] for line in problems_of(tmp_path / "odd")] == [
        "the name has a control character or is not UTF-8; rename it"
    ]


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path)
    (root / "bird/again").symlink_to(root, target_is_directory=True)

    assert len(load(root).recordings) == 10


def test_recordings_in_several_containers_are_found(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path)
    samples, rate = soundfile.read(root / "car/0.wav")
    for suffix in ("flac", "OGG", "nist"):
        soundfile.write(root / f"car/more.{suffix}", samples, rate, format=suffix)

    assert len(load(root).recordings) == 13


@pytest.mark.parametrize(("root", "says"), [(None, "data.root is not set"), ("nowhere", "no such folder")])
def test_a_folder_is_needed(root: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ClipFolder(root=root).load()


def test_a_folder_without_recordings_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="contains no recordings; expected files that end in"):
        load(tmp_path)
