"""Data sets in DESED's layout: reading, missing clips, and the report of all problems."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dcase_sweep.data.desed import DESED, hold_out
from dcase_sweep.data.desed_tables import (
    PlacedEvent,
    StrongTable,
    check_strong,
    check_weak,
    read_durations,
    read_names,
    read_strong,
    read_weak,
)
from dcase_sweep.data.events import DESED_CLASSES, EventData, SoundEvent
from dcase_sweep.utils.errors import DataError, UserError
from tests import desed_layout as layout
from tests.layout import read_table, write_table


@pytest.fixture
def desed(tmp_path: Path) -> Path:
    """Create a tiny data set in DESED's layout that a test may damage."""
    return layout.make_desed(tmp_path / "desed")


def load(root: Path, **more: object) -> EventData:
    return DESED(name="tiny", root=str(root), **more).load()  # type: ignore[arg-type]


def problems_of(root: Path, **more: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        load(root, **more)
    return caught.value.problems


def append(path: Path, *rows: dict[str, str]) -> None:
    write_table(path, [*read_table(path), *rows])


def strong_row(filename: str, onset: object, offset: object, label: str) -> dict[str, str]:
    return {"filename": filename, "onset": str(onset), "offset": str(offset), "event_label": label}


# --- what is read -----------------------------------------------------------------------------------------------


def test_subsets_labels_and_durations(desed: Path) -> None:
    data = load(desed)

    sizes = [len(s) for s in (data.strong, data.weak, data.unlabeled, data.weak_validation)]
    assert sizes == [6, 9, 4, 1]
    assert (len(data.synthetic_validation), len(data.test)) == (3, 4)
    assert data.classes == DESED_CLASSES
    first = data.clips[data.strong[0]]
    assert (first.filename, first.subset) == (f"{layout.STRONG_AUDIO}/0.wav", "strong")
    assert [(event.onset, event.offset, event.event_label) for event in first.events] == [(0.1, 0.6, "Cat")]
    assert {data.clips[index].weak_labels for index in data.weak} == {("Cat", "Dog")}
    assert not any(data.clips[index].labels for index in data.unlabeled)
    assert all((data.root / name).is_file() for name in data.filenames)
    assert data.durations(data.test) == dict.fromkeys(data.names(data.test), 1.0)


def test_a_row_with_a_filename_alone_is_a_clip_without_events(desed: Path) -> None:
    data = load(desed)

    silent = data.clips[data.test[-1]]
    assert (silent.name, silent.events) == (layout.recording("v", 3), ())
    assert len(data.reference_events(data.test)) == 3


def test_reference_events_and_durations_have_the_form_that_evaluation_needs(desed: Path) -> None:
    from dcase_sweep.evaluation.events import Event, ground_truth_from_events

    data = load(desed)

    events = [(name, Event(label, onset, offset)) for name, onset, offset, label in data.reference_events(data.test)]
    truth = ground_truth_from_events(events, data.durations(data.test), labels=data.classes)

    assert truth.clips == tuple(data.names(data.test))
    assert truth.events_in(layout.recording("v", 1)) == [Event("Dog", 0.1, 0.6)]


def test_custom_labels_become_the_classes(desed: Path) -> None:
    for table in (layout.STRONG_TABLE, layout.SYNTHETIC_VALIDATION_TABLE, layout.VALIDATION_TABLE, layout.WEAK_TABLE):
        text = (desed / table).read_text()
        for label, own in (("Speech", "glass"), ("Cat", "gunshot"), ("Dog", "scream")):
            text = text.replace(label, own)
        (desed / table).write_text(text)

    assert load(desed).classes == ("glass", "gunshot", "scream")


def test_named_classes_are_put_in_alphabetical_order(desed: Path) -> None:
    assert load(desed, classes=["Speech", "Dog", "Cat", "Glass"]).classes == ("Cat", "Dog", "Glass", "Speech")


def test_durations_come_from_the_headers_if_no_table_has_them(desed: Path) -> None:
    (desed / layout.VALIDATION_DURATIONS).unlink()
    short = layout.recording("v", 0)
    soundfile.write(desed / layout.VALIDATION_AUDIO / short, np.full(11_200, 0.1), 16_000)

    data = load(desed)

    assert data.durations(data.test)[short] == 0.7
    assert data.durations(data.strong)["0.wav"] == 1.0


def test_unlabelled_clips_are_all_files_in_the_folder(desed: Path) -> None:
    (desed / layout.UNLABELED_TABLE).unlink()

    data = load(desed)

    assert len(data.unlabeled) == 4
    assert data.coverage[2].is_complete


def test_the_baselines_16_khz_copies_are_used_if_the_downloads_are_missing(desed: Path) -> None:
    (desed / layout.WEAK_AUDIO).rename(desed / "audio/train/weak_16k")
    shutil.copytree(desed / layout.VALIDATION_AUDIO, desed / "audio/validation/validation_16k")

    data = load(desed)

    assert {Path(data.filenames[index]).parent.name for index in data.weak} == {"weak_16k"}
    assert {Path(data.filenames[index]).parent.name for index in data.test} == {"validation"}


def test_synthetic_soundscapes_in_a_folder_of_their_own(desed: Path) -> None:
    for part in ("audio", "metadata"):
        for inner in ("train/synthetic21_train", "validation/synthetic21_validation"):
            (desed / "dcase_synth" / part / inner).parent.mkdir(parents=True, exist_ok=True)
            (desed / part / inner).rename(desed / "dcase_synth" / part / inner)

    data = load(desed)

    assert (len(data.strong), len(data.synthetic_validation)) == (6, 3)
    assert data.clips[data.strong[0]].filename == f"dcase_synth/{layout.STRONG_AUDIO}/0.wav"


def test_the_fingerprint_depends_on_labels_and_splits(desed: Path) -> None:
    before, other_split = load(desed).fingerprint, load(desed, weak_validation_seed=1).fingerprint
    rows = read_table(desed / layout.STRONG_TABLE)
    rows[0]["onset"] = "0.2"
    write_table(desed / layout.STRONG_TABLE, rows)

    assert len({before, other_split, load(desed).fingerprint}) == 3


# --- the weak validation clips ----------------------------------------------------------------------------------


def test_the_held_out_weak_clips_are_those_of_the_baseline(shared: Path) -> None:
    import pandas

    table = pandas.read_csv(shared / "data/desed/train/weak.tsv", sep="\t")
    # recipes/dcase2021_task4_baseline/train_sed.py of DESED_task, with its weak_split and seed
    kept = table.sample(frac=0.9, random_state=42)
    expected = set(table.drop(kept.index)["filename"])

    assert hold_out(list(table["filename"]), fraction=0.1, seed=42) == expected
    assert len(expected) == 158


def test_missing_clips_do_not_change_the_held_out_clips(desed: Path) -> None:
    before = load(desed, weak_validation_fraction=0.3)
    held_out = set(before.names(before.weak_validation))
    gone = before.names(before.weak)[0]
    (desed / layout.WEAK_AUDIO / gone).unlink()

    after = load(desed, weak_validation_fraction=0.3)

    assert set(after.names(after.weak_validation)) == held_out
    assert set(after.names(after.weak)) == set(before.names(before.weak)) - {gone}


def test_a_fraction_without_validation_clips_is_rejected(desed: Path) -> None:
    with pytest.raises(UserError, match=r"weak_validation_fraction=0.01: 10 weak clips to train on and 0 to validate"):
        load(desed, weak_validation_fraction=0.01)


# --- clips that are not there -----------------------------------------------------------------------------------


def test_missing_clips_are_counted(desed: Path) -> None:
    (desed / layout.STRONG_AUDIO / "2.wav").unlink()
    (desed / layout.UNLABELED_AUDIO / layout.recording("u", 1)).unlink()
    (desed / layout.VALIDATION_AUDIO / layout.recording("v", 0)).unlink()
    append(desed / layout.VALIDATION_DURATIONS, {"filename": layout.recording("v", 7), "duration": "10.0"})

    data = load(desed)

    assert [(part.subset, part.found, part.listed) for part in data.coverage] == [
        ("strong", 5, 6),
        ("weak", 10, 10),
        ("unlabeled", 3, 4),
        ("synthetic_validation", 3, 3),
        ("validation", 3, 5),
    ]
    assert (len(data.strong), len(data.unlabeled), len(data.test)) == (5, 3, 3)
    assert data.description.endswith("found 5 of 6 strong, 3 of 4 unlabeled, 3 of 5 validation")


def test_missing_and_empty_folders(desed: Path) -> None:
    shutil.rmtree(desed / layout.WEAK_AUDIO)
    shutil.rmtree(desed / layout.UNLABELED_AUDIO)
    (desed / layout.UNLABELED_AUDIO).mkdir()
    for path in (desed / layout.STRONG_AUDIO).iterdir():
        path.rename(path.with_name(f"renamed_{path.name}"))

    assert problems_of(desed) == [
        f"{desed}: {layout.STRONG_AUDIO} hold none of the 6 strong clips that soundscapes.tsv lists (0.wav, ...); "
        "download or move them there",
        f"{desed / layout.WEAK_AUDIO}: no such folder; expected the weak clips",
        f"{desed}: {layout.UNLABELED_AUDIO} hold none of the 4 unlabeled clips that unlabel_in_domain.tsv lists "
        f"({layout.recording('u', 0)}, ...); download or move them there",
    ]


def test_a_missing_table(desed: Path) -> None:
    (desed / layout.WEAK_TABLE).unlink()

    with pytest.raises(
        UserError, match=r"weak\.tsv: no such file; expected a tab-separated table with filename, event"
    ):
        load(desed)


@pytest.mark.parametrize(("root", "says"), [(None, "data.root is not set"), ("/nowhere", "with DESED's audio/")])
def test_a_missing_root(root: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        DESED(name="tiny", root=root).load()


# --- everything that can be wrong -------------------------------------------------------------------------------


def test_the_folder_around_the_root_names_it(desed: Path) -> None:
    with pytest.raises(UserError, match=rf"audio/ and metadata/; did you mean data.root={desed}\?$"):
        load(desed.parent)


def test_wrong_events_are_reported_together_by_file_and_row(desed: Path) -> None:
    append(
        desed / layout.STRONG_TABLE,
        strong_row("1.wav", -0.2, 0.3, "Cat"),
        strong_row("1.wav", 0.8, 0.4, "Cat"),
        strong_row("1.wav", "soon", 0.4, "Cat"),
        strong_row("1.wav", 0.5, "", "Cat"),
        strong_row("1.wav", 0.5, "nan", "Cat"),
        strong_row("1.wav", 0.5, 0.6, ""),
        strong_row("1.wav", 0.5, 1.3, "Cat"),
        strong_row("2.wav", 1.1, 1.15, "Dog"),
        strong_row("3.wav", 0.5, 0.6, "Kat"),
        strong_row("", 0.5, 0.6, "Cat"),
    )
    table = desed / layout.STRONG_TABLE

    known = ", ".join(DESED_CLASSES)
    assert sorted(problems_of(desed)) == sorted(
        [
            f"{table}, row 8: onset -0.2 s is negative; expected 0 s or later",
            f"{table}, row 9: offset 0.4 s is not after onset 0.8 s; swap or remove them",
            f"{table}, row 10: onset is 'soon'; expected a number of seconds",
            f"{table}, row 11: offset is ''; expected a number of seconds",
            f"{table}, row 12: offset is 'nan'; expected a number of seconds",
            f"{table}, row 13: an event without an event_label; expected a class",
            f"{table}, row 14: 0.5 to 1.3 s is beyond the end of 1.wav (1 s); correct the event or the clip",
            f"{table}, row 15: 1.1 to 1.15 s is beyond the end of 2.wav (1 s); correct the event or the clip",
            f"{table}, row 16: unknown class 'Kat'; expected one of {known} (data.classes names others)",
            f"{table}, row 17: no filename; expected filename, onset, offset, event_label",
        ]
    )


def test_overlapping_events_of_one_class_are_rejected(desed: Path) -> None:
    append(
        desed / layout.VALIDATION_TABLE,
        strong_row(layout.recording("v", 0), 0.6, 0.7, "Cat"),  # touches the one before it
        strong_row(layout.recording("v", 0), 0.2, 0.3, "Dog"),  # another class
        strong_row(layout.recording("v", 1), 0.2, 0.3, "Dog"),
        strong_row(layout.recording("v", 1), 0.5, 0.7, "Dog"),
    )

    table, clip = desed / layout.VALIDATION_TABLE, layout.recording("v", 1)
    assert problems_of(desed) == [
        f"{table}, rows 3 and 8: two events of Dog overlap in {clip} (0.1 to 0.6 s and 0.2 to 0.3 s); "
        "merge them into one, or set data.merge_overlaps=true",
        f"{table}, rows 3 and 9: two events of Dog overlap in {clip} (0.1 to 0.6 s and 0.5 to 0.7 s); "
        "merge them into one, or set data.merge_overlaps=true",
    ]


@pytest.mark.parametrize("unit", [60, 3600])
def test_events_in_minutes_or_hours_are_rejected(tmp_path: Path, unit: int) -> None:
    clips = {
        f"{place}.wav": [
            PlacedEvent(place + 2, SoundEvent(place * 9.5 / 12 / unit, (place + 1) * 10 / 12 / unit, label))
        ]
        for place, label in enumerate(("Cat", "Dog") * 6)
    }
    problems: list[str] = []

    check_strong(StrongTable(tmp_path, clips), ("Cat", "Dog"), dict.fromkeys(clips, 10.0), problems)

    assert problems == [
        f"{tmp_path}: all 12 events are in the first 2 % of their clips: none ends after {10 / unit:.3g} s, in clips "
        "of up to 10 s; expected times in seconds"
    ]


def test_an_event_that_ends_a_little_after_its_clip_is_not_changed(desed: Path) -> None:
    rows = read_table(desed / layout.VALIDATION_DURATIONS)
    write_table(desed / layout.VALIDATION_DURATIONS, [{**row, "duration": "0.7"} for row in rows])
    append(desed / layout.VALIDATION_TABLE, strong_row(layout.recording("v", 0), 0.65, 0.9, "Dog"))

    data = load(desed)

    assert data.reference_events(data.test)[1] == (layout.recording("v", 0), 0.65, 0.9, "Dog")


def test_wrong_rows_of_the_other_tables(desed: Path) -> None:
    weak, again = layout.recording("w", 0), layout.recording("u", 2)
    append(
        desed / layout.WEAK_TABLE,
        {"filename": weak, "event_labels": "Cat"},
        {"filename": layout.recording("x", 0), "event_labels": ""},
        {"filename": layout.recording("x", 1), "event_labels": "Dog,Doc"},
    )
    append(desed / layout.UNLABELED_TABLE, {"filename": again})
    append(desed / layout.SYNTHETIC_VALIDATION_DURATIONS, {"filename": "8.wav", "duration": "0"})
    append(desed / layout.VALIDATION_DURATIONS, {"filename": layout.recording("v", 1), "duration": "9.0"})

    told = problems_of(desed)

    assert len(told) == 6
    text = "\n".join(told)
    assert f"weak.tsv, row 12: {weak} is also in row 2; expected each file once" in text
    assert f"weak.tsv, row 13: {layout.recording('x', 0)} has no event_labels" in text
    assert "weak.tsv, row 14: unknown class 'Doc'" in text
    assert f"unlabel_in_domain.tsv, row 6: {again} is also in row 4" in text
    assert "durations.tsv, row 5: duration is '0'; expected a number of seconds above 0" in text
    assert f"validation_durations.tsv, row 6: {layout.recording('v', 1)} is also in row 3" in text


def test_a_label_repeated_in_one_weak_cell_counts_once(desed: Path) -> None:
    append(desed / layout.WEAK_TABLE, {"filename": "more.wav", "event_labels": "Dog, Dog,Cat"})
    shutil.copy(desed / layout.WEAK_AUDIO / layout.recording("w", 0), desed / layout.WEAK_AUDIO / "more.wav")

    data = load(desed)

    assert [clip.weak_labels for clip in data.clips if clip.name == "more.wav"] == [("Cat", "Dog")]


def test_a_recording_for_both_training_and_validation_is_rejected(desed: Path) -> None:
    name = layout.recording("v", 2)
    append(desed / layout.WEAK_TABLE, {"filename": name, "event_labels": "Cat"})

    assert problems_of(desed) == [f"{name}: in the weak and in the validation subset; expected it in one"]


def test_a_missing_column_names_what_was_found(desed: Path) -> None:
    rows = [{"filename": row["filename"], "label": "Cat"} for row in read_table(desed / layout.WEAK_TABLE)]
    write_table(desed / layout.WEAK_TABLE, rows)

    with pytest.raises(UserError, match=r"weak\.tsv: no column event_labels; found filename, label"):
        load(desed)


def test_broken_files_are_reported_or_left_to_the_store(desed: Path) -> None:
    broken = desed / layout.STRONG_AUDIO / "3.wav"
    broken.write_bytes(b"")

    assert problems_of(desed) == [f"{broken}: 0 bytes; expected audio; download it again"]
    assert len(load(desed, skip_invalid=True).strong) == 6


# --- real metadata and real recordings --------------------------------------------------------------------------


def test_the_real_metadata_have_no_problem(shared: Path) -> None:
    folder, problems = shared / "data/desed", list[str]()
    validation = read_strong(folder / "validation/validation.tsv", problems)
    weak = read_weak(folder / "train/weak.tsv", problems)
    unlabeled = read_names(folder / "train/unlabel_in_domain.tsv", problems)
    durations = read_durations(shared / "data/sed_scores/validation_durations.tsv", problems)
    check_strong(validation, DESED_CLASSES, durations, problems)
    check_weak(weak, DESED_CLASSES, problems)

    assert problems == []
    assert (len(validation.clips), len(weak.clips), len(unlabeled)) == (1168, 1578, 14412)
    assert set(validation.clips) == set(durations)
    events = [placed.event for placed_events in validation.clips.values() for placed in placed_events]
    assert (len(events), max(event.offset for event in events)) == (4224, 10.115)


def test_real_recordings_in_desed_layout(shared: Path, tmp_path: Path) -> None:
    tool = shared / "tools/build_real_desed.py"
    subprocess.run([sys.executable, tool, tmp_path / "real", "--scale", "0.05"], check=True, capture_output=True)

    data = load(tmp_path / "real", weak_validation_fraction=0.25)

    assert data.classes == DESED_CLASSES
    assert [part.listed for part in data.coverage] == [12, 8, 16, 3, 6]
    assert (len(data.weak), len(data.weak_validation)) == (6, 2)


# --- what is missing --------------------------------------------------------------------------------------------


def test_missing_clips_are_reported_with_file_and_row(desed: Path) -> None:
    for number in range(6):
        if number != 4:
            (desed / layout.STRONG_AUDIO / f"{number}.wav").unlink()
    silent = layout.recording("v", 3)  # without an event, so that the table of durations alone may name it
    write_table(desed / layout.VALIDATION_TABLE, read_table(desed / layout.VALIDATION_TABLE)[:3])
    (desed / layout.VALIDATION_AUDIO / silent).unlink()

    coverage = {part.subset: part for part in load(desed).coverage}

    strong = desed / layout.STRONG_TABLE
    assert coverage["strong"].absence == (
        f"not on disk: {strong}, row 2: 0.wav; {strong}, row 3: 1.wav; {strong}, row 4: 2.wav; and 2 more strong clips"
    )
    assert coverage["validation"].absence == f"not on disk: {desed / layout.VALIDATION_DURATIONS}, row 5: {silent}"
    assert coverage["weak"].absence == ""


# --- tables that people write by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u200b"])
def test_a_blank_after_a_label_or_a_name_changes_nothing(desed: Path, blank: str) -> None:
    before = load(desed).fingerprint
    for table in (layout.STRONG_TABLE, layout.VALIDATION_TABLE):
        rows = read_table(desed / table)
        rows[0] = {**rows[0], "event_label": rows[0]["event_label"] + blank, "filename": rows[0]["filename"] + blank}
        write_table(desed / table, rows)
    weak = read_table(desed / layout.WEAK_TABLE)
    write_table(desed / layout.WEAK_TABLE, [{**row, "event_labels": row["event_labels"] + blank} for row in weak])

    assert load(desed).fingerprint == before


@pytest.mark.parametrize("spelling", ["Dоg", "dog", "D og", "Ｄog"])
def test_a_second_spelling_of_a_class_is_rejected_in_every_table(desed: Path, spelling: str) -> None:
    append(desed / layout.STRONG_TABLE, strong_row("1.wav", 0.8, 0.9, "Speech" if spelling == "Dоg" else "Dog"))
    append(desed / layout.STRONG_TABLE, strong_row("2.wav", 0.8, 0.9, spelling))
    append(desed / layout.WEAK_TABLE, {"filename": layout.recording("x", 0), "event_labels": spelling})
    append(desed / layout.VALIDATION_TABLE, strong_row(layout.recording("v", 0), 0.8, 0.9, spelling))

    found = "\n".join(problems_of(desed))

    for table in ("soundscapes.tsv", "weak.tsv", "validation.tsv"):
        assert f"{table}, row " in found
    assert found.count("which differs from 'Dog' only in") == 3
    assert found.count("differ only in") >= 2


def test_a_second_spelling_of_a_custom_class_is_rejected(desed: Path) -> None:
    for table in (layout.STRONG_TABLE, layout.SYNTHETIC_VALIDATION_TABLE, layout.VALIDATION_TABLE):
        rows = [{**row, "event_label": row["event_label"] and "Bell"} for row in read_table(desed / table)]
        write_table(desed / table, rows)
    weak = read_table(desed / layout.WEAK_TABLE)
    write_table(desed / layout.WEAK_TABLE, [{**row, "event_labels": "Bell"} for row in weak])
    append(desed / layout.STRONG_TABLE, strong_row("2.wav", 0.8, 0.9, "Веll"))

    (problem,) = problems_of(desed)
    assert "row 8: the class 'Веll' (character 1 is U+0412, character 2 is U+0435) and 'Bell' differ only in" in problem


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["Cat", "Cаt"], "differ only in letters"),
        (["Cat", " "], "none of them blank"),
        ([], "expected names of classes"),
    ],
)
def test_custom_classes_are_checked(desed: Path, classes: list[str], says: str) -> None:
    with pytest.raises(UserError, match=rf"data\.classes.*{says}"):
        load(desed, classes=classes)


@pytest.mark.parametrize("name", ["/etc/passwd", "../0.wav", "D:\\0.wav", "sub\\0.wav"])
def test_paths_that_leave_the_root_are_rejected_in_every_table(desed: Path, name: str) -> None:
    append(desed / layout.STRONG_TABLE, strong_row(name, 0.1, 0.2, "Cat"))
    append(desed / layout.WEAK_TABLE, {"filename": name, "event_labels": "Cat"})
    append(desed / layout.UNLABELED_TABLE, {"filename": name})
    append(desed / layout.VALIDATION_DURATIONS, {"filename": name, "duration": "1.0"})

    told = [problem for problem in problems_of(desed) if f"'{name}' " in problem]

    assert [problem.split(",")[0].rpartition("/")[2] for problem in told] == [
        "soundscapes.tsv",
        "weak.tsv",
        "validation_durations.tsv",
        "unlabel_in_domain.tsv",
    ]


def test_rows_that_are_too_long_or_too_short_are_reported(desed: Path) -> None:
    with (desed / layout.STRONG_TABLE).open("a") as table:
        table.write("1.wav\t0.8\t0.9\tCat\tDog\n2.wav\t0.8\t0.9\n3.wav\n")

    assert [problem.partition(", ")[2] for problem in problems_of(desed)] == [
        "row 8: 5 cells; expected 4 as in the header",
        "row 9: 3 cells; expected 4 as in the header",
    ]


def test_overlapping_events_of_one_class_can_be_merged_and_are_counted(desed: Path) -> None:
    clip = layout.recording("v", 1)
    append(
        desed / layout.VALIDATION_TABLE,
        strong_row(clip, 0.2, 0.7, "Dog"),
        strong_row(clip, 0.1, 0.6, "Dog"),  # stands twice
        strong_row(clip, 0.7, 0.8, "Dog"),  # touches
        strong_row(clip, 0.3, 0.4, "Cat"),
    )
    append(desed / layout.STRONG_TABLE, strong_row("0.wav", 0.5, 0.9, "Cat"))

    data = load(desed, merge_overlaps=True)

    assert [event[1:] for event in data.reference_events(data.test) if event[0] == clip] == [
        (0.1, 0.7, "Dog"),
        (0.3, 0.4, "Cat"),
        (0.7, 0.8, "Dog"),
    ]
    assert [(event.onset, event.offset) for event in data.clips[data.strong[0]].events] == [(0.1, 0.9)]
    assert data.merged_events == 3
    assert "3 overlapping events merged" in data.description
    assert len(problems_of(desed)) == 3


@pytest.mark.parametrize("table", [layout.WEAK_TABLE, layout.VALIDATION_DURATIONS, layout.UNLABELED_TABLE])
def test_a_table_that_is_a_pipe_does_not_hang(desed: Path, table: str) -> None:
    (desed / table).unlink()
    os.mkfifo(desed / table)

    with pytest.raises(UserError, match="is a pipe, not a file"):
        load(desed)


def test_a_clip_with_an_accent_is_found_in_the_form_stored_on_disk(desed: Path) -> None:
    stored = desed / layout.STRONG_AUDIO / "Cafe\u0301.wav"
    shutil.copy(desed / layout.STRONG_AUDIO / "0.wav", stored)
    append(desed / layout.STRONG_TABLE, strong_row("Cafe\u0301.wav", 0.1, 0.2, "Cat"))

    data = load(desed)

    assert any(clip.filename.endswith(stored.name) and clip.events for clip in data.clips)
