"""Reference tables: their interpretation, and messages for invalid rows."""

from pathlib import Path

import pytest

from dcase_sweep.evaluation.events import Event, ground_truth_from_events, read_durations, read_ground_truth
from dcase_sweep.utils.errors import DataError, UserError

HEADER = "filename\tonset\toffset\tevent_label\n"
DURATIONS = "filename\tduration\na.wav\t10.0\nb.wav\t9.5\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, rows: str, durations: str = DURATIONS, **options: object):
    return read_ground_truth(
        write(folder, "events.tsv", HEADER + rows), write(folder, "durations.tsv", durations), **options
    )


def problems_of(folder: Path, rows: str, durations: str = DURATIONS, **options: object) -> list[str]:
    with pytest.raises(DataError) as error:
        read(folder, rows, durations, **options)
    return [problem.replace(f"{folder}/", "") for problem in error.value.problems]


def test_published_ground_truth_is_valid(shared: Path) -> None:
    folder = shared / "data" / "sed_scores"
    truth = read_ground_truth(folder / "validation.tsv", folder / "validation_durations.tsv")

    assert len(truth.clips) == 1168
    assert dict(zip(truth.labels, truth.events_per_label().tolist(), strict=True))["Speech"] == 1752
    assert truth.events_in("Y00pbt6aJV8Y_350.000_360.000.wav") == [Event("Vacuum_cleaner", 0.0, 9.971)]


def test_a_row_with_a_file_name_alone_is_a_clip_without_events(tmp_path: Path) -> None:
    truth = read(tmp_path, "a.wav\t1.0\t2.0\tDog\nb.wav\t\t\t\n")

    assert truth.clips == ("a.wav", "b.wav")
    assert truth.durations.tolist() == [10.0, 9.5]
    assert truth.events_in("b.wav") == []


def test_events_of_one_class_may_touch(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a.wav\t1.0\t2.0\tDog\na.wav\t2.0\t3.0\tDog\na.wav\t1.5\t2.5\tCat\n").clip) == 3


def test_overlapping_events_of_one_class_are_named_by_their_rows(tmp_path: Path) -> None:
    rows = "a.wav\t1.0\t2.0\tDog\nb.wav\t1.0\t2.0\tDog\na.wav\t1.9\t3.0\tDog\n"

    assert problems_of(tmp_path, rows) == [
        "events.tsv, rows 2 and 4: two events of Dog overlap in a.wav (1 to 2 s and 1.9 to 3 s); merge them into one"
    ]


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    rows = (
        "c.wav\t1.0\t2.0\tDog\n"
        "a.wav\t1.0\t2.0\tDogs\n"
        "a.wav\t-1.0\t2.0\tDog\n"
        "a.wav\t3.0\t2.0\tDog\n"
        "a.wav\t4.0\t4.0\tDog\n"
        "a.wav\tone\t2.0\tDog\n"
        "b.wav\t9.0\t9.8\tDog\n"
        "b.wav\t9.5\t9.6\tCat\n"
        "a.wav\t1.0\t\tDog\n"
    )

    assert problems_of(tmp_path, rows, labels=["Dog", "Cat"]) == [
        "events.tsv, row 2: clip 'c.wav' has no duration; add it to the table of durations",
        "events.tsv, row 3: unknown class 'Dogs'; expected one of Dog, Cat",
        "events.tsv, row 7: onset is 'one'; expected a number of seconds",
        "events.tsv, row 10: offset is ''; expected a number of seconds",
        "events.tsv, row 4: onset -1 s is negative; expected 0 s or later",
        "events.tsv, row 5: offset 2 s is not after onset 3 s; swap or remove them",
        "events.tsv, row 6: offset 4 s is not after onset 4 s; swap or remove them",
        "events.tsv, row 8: 9 to 9.8 s is beyond the end of b.wav (9.5 s); correct the event or the duration",
        "events.tsv, row 9: 9.5 to 9.6 s is beyond the end of b.wav (9.5 s); correct the event or the duration",
    ]


def test_an_event_may_end_a_little_after_a_rounded_duration(tmp_path: Path) -> None:
    assert read(tmp_path, "b.wav\t9.0\t9.7\tDog\n").offset.tolist() == [9.7]
    assert len(problems_of(tmp_path, "b.wav\t9.0\t9.7\tDog\n", overhang=0.1)) == 1


def test_a_missing_column_is_reported_with_those_in_the_table(tmp_path: Path) -> None:
    events = write(tmp_path, "weak.tsv", "filename\tevent_labels\na.wav\tDog\n")

    with pytest.raises(
        UserError, match=r"weak\.tsv: no column onset, offset, event_label; found filename, event_labels; expected"
    ):
        read_ground_truth(events, write(tmp_path, "durations.tsv", DURATIONS))


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("", "the file is empty")])
def test_a_table_that_is_not_there_is_reported(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "durations.tsv"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UserError, match=message):
        read_durations(path)


def test_durations_are_positive_and_unique(tmp_path: Path) -> None:
    path = write(tmp_path, "durations.tsv", "filename\tduration\na.wav\t0\nb.wav\t9\nb.wav\t9\nb.wav\t8\nc.wav\tlong\n")

    with pytest.raises(DataError) as error:
        read_durations(path)

    assert [problem.removeprefix(f"{path}, ") for problem in error.value.problems] == [
        "row 6: duration is 'long'; expected a number of seconds",
        "row 2: duration 0 s; expected more than 0 s",
        "row 5: b.wav lasts 8 s here and 9 s above",
    ]


def test_a_part_of_the_clips_keeps_its_events(tmp_path: Path) -> None:
    truth = read(tmp_path, "a.wav\t1.0\t2.0\tDog\nb.wav\t3.0\t4.0\tCat\n")

    part = truth.restricted_to({"b.wav"})

    assert part.clips == ("b.wav",)
    assert part.labels == truth.labels
    assert part.events_in("b.wav") == [Event("Cat", 3.0, 4.0)]


def test_classes_follow_the_order_of_the_model() -> None:
    pairs = [("a.wav", Event("Dog", 1.0, 2.0)), ("a.wav", Event("Cat", 3.0, 4.0))]
    truth = ground_truth_from_events(pairs, {"a.wav": 10.0})

    reordered = truth.with_labels(["Speech", "Dog", "Cat"])

    assert reordered.events_in("a.wav") == [Event("Dog", 1.0, 2.0), Event("Cat", 3.0, 4.0)]
    with pytest.raises(UserError, match="events of Cat; expected only Dog"):
        truth.with_labels(["Dog"])
