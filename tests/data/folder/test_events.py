"""Own recordings with sound events: strong, weak and unlabelled clips from tables."""

from pathlib import Path
from typing import Any

import pytest

from dcase_sweep.data.events import EventData, SoundEvent
from dcase_sweep.data.folder.events import EventFolder
from dcase_sweep.utils.errors import DataError, UserError
from tests.folder_layouts import make_desed_like, make_events, write_csv, write_tone

STRONG = ("filename", "onset", "offset", "event_label")


def load(root: Path, **settings: Any) -> EventData:
    return EventFolder(root=str(root), **settings).load()


def problems_of(root: Path, **settings: Any) -> list[str]:
    with pytest.raises(DataError) as refused:
        load(root, **settings)
    return refused.value.problems


def test_a_layout_like_that_of_desed_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    data = load(make_desed_like(tmp_path / "own"))

    assert data.classes == ("Cat", "Dog")
    assert data.names(data.strong) == [f"audio/train/synthetic21_train/soundscapes/{n}.wav" for n in range(3)]
    assert data.names(data.synthetic_validation) == [
        "audio/validation/validation/0.wav",
        "audio/validation/validation/1.wav",
    ]
    assert data.names(data.test) == ["audio/eval/public/0.wav", "audio/eval/public/1.wav"]
    assert data.names(data.unlabeled) == ["audio/train/unlabel_in_domain/u0.wav"]
    assert len(data.weak) + len(data.weak_validation) == 2
    assert data.clips[data.test[1]].events == (SoundEvent(0.1, 0.6, "Dog"),)
    assert data.durations(data.test) == {"audio/eval/public/0.wav": 1.0, "audio/eval/public/1.wav": 1.0}
    assert data.description.startswith(
        "own: 3 strong, 1 weak, 1 unlabelled, 2 strong and 1 weak validation, 2 test clips"
    )


def test_one_table_is_enough(tmp_path: Path) -> None:
    data = load(make_events(tmp_path))

    assert [len(part) for part in (data.strong, data.synthetic_validation, data.test)] == [7, 1, 2]
    assert len(data.weak) == len(data.weak_validation) == len(data.unlabeled) == 0
    assert {data.clips[index].labels for index in data.test} == {("knock",), ("ring",)}


def test_a_class_with_a_comma_needs_strong_labels_alone(tmp_path: Path) -> None:
    write_tone(root := tmp_path / "a.wav", hertz=300.0, seconds=1.0)
    write_csv(tmp_path / "own/events.csv", STRONG, [[f"{n}.wav", "0.1", "0.2", "dog, loud"] for n in range(3)])
    for name in ("0", "1", "2", "weak"):
        (tmp_path / "own" / f"{name}.wav").write_bytes(root.read_bytes())
    assert load(tmp_path / "own").classes == ("dog, loud",)
    write_csv(tmp_path / "own/weak.csv", ("filename", "event_labels"), [["weak.wav", "dog, loud"]])

    (problem,) = problems_of(tmp_path / "own")

    assert "the class 'dog, loud' has a comma, which separates classes in the tables of weak labels" in problem


def test_results_of_predict_are_not_labels(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    before = load(root)
    write_csv(root / "found.csv", (*STRONG, "confidence"), [[before.clips[0].filename, "0.1", "0.2", "bark", "0.9"]])

    assert load(root).classes == before.classes


def test_recordings_in_no_table_are_unlabelled(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    write_tone(root / "more/a.wav", hertz=500)

    assert load(root).names(load(root).unlabeled) == ["more/a.wav"]


def test_a_group_is_in_one_split_whatever_its_labels(tmp_path: Path) -> None:
    root = make_events(tmp_path, clips=8)
    rows = [(f"{n}.wav", 0.1, 0.5, ("knock", "ring")[n % 2], f"room {n // 2}") for n in range(8)]
    write_csv(root / "events.csv", (*STRONG, "group"), rows)
    for number in range(4):
        write_tone(root / f"weak/{number}.wav", hertz=900 + number)
    weak = [(f"weak/{number}.wav", "ring", f"room {number}") for number in range(4)]
    write_csv(root / "weak.csv", ("filename", "event_labels", "group"), weak)

    data = load(root)

    room = {f"{n}.wav": n // 2 for n in range(8)} | {f"weak/{n}.wav": n for n in range(4)}
    tested = {room[name] for name in data.names(data.test)}
    validated = {room[name] for name in data.names([*data.synthetic_validation, *data.weak_validation])}
    trained = {room[name] for name in data.names([*data.strong, *data.weak])}
    assert tested
    assert validated
    assert trained
    assert len(tested) + len(validated) + len(trained) == len(tested | validated | trained)
    assert ("left out", "1 recording of a test split or group") in data.notes


def test_made_folds_test_every_clip_once(tmp_path: Path) -> None:
    root = make_events(tmp_path)

    tested = [load(root, fold=fold).names(load(root, fold=fold).test) for fold in range(1, 6)]

    assert sorted(name for fold in tested for name in fold) == [f"{number}.wav" for number in range(10)]


def test_a_clip_without_events_is_a_row_with_a_name(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    write_tone(root / "quiet.wav", hertz=200)
    with (root / "events.csv").open("a") as table:
        table.write("quiet.wav\n")

    data = load(root)

    quiet = next(clip for clip in data.clips if clip.filename == "quiet.wav")
    assert quiet.events == ()
    assert quiet.subset != "unlabeled"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("0.wav,0.5,0.2,ring", "row 12: offset 0.2 s is not after onset 0.5 s"),
        ("0.wav,a,0.2,ring", "row 12: onset is 'a'; expected a number of seconds"),
        ("0.wav,0.5,9,ring", "row 12: 0.5 to 9 s is beyond the end of 0.wav (1 s)"),
        ("0.wav,0.3,0.6,knock", "rows 2 and 12: two events of knock overlap in 0.wav"),
        ("0.wav,0.3,0.6,Knock", "row 12: the class 'Knock' and 'knock'"),
        ("77.wav,0.3,0.6,ring", "row 12: 77.wav is not on disk; restore the file or remove its row"),
        (",0.3,0.6,ring", "row 12: no filename"),
    ],
    ids=["order", "number", "end", "overlap", "spelling", "missing", "name"],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    root = make_events(tmp_path)
    with (root / "events.csv").open("a") as table:
        table.write(row + "\n")

    assert any(says in line for line in problems_of(root)), problems_of(root)


def test_overlaps_are_merged_where_that_is_wanted(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    with (root / "events.csv").open("a") as table:
        table.write("0.wav,0.5,0.9,knock\n")

    data = load(root, merge_overlaps=True)

    assert data.merged_events == 1
    assert next(clip for clip in data.clips if clip.filename == "0.wav").events == (SoundEvent(0.2, 0.9, "knock"),)


def test_missing_clips_are_counted_where_they_may_be_left_out(tmp_path: Path) -> None:
    root = make_desed_like(tmp_path)
    (root / "audio/eval/public/1.wav").unlink()
    (root / "audio/train/weak/w0.wav").unlink()

    assert len(problems_of(root)) == 2
    data = load(root, skip_invalid=True)

    assert [(part.subset, part.found, part.listed) for part in data.coverage] == [("test", 1, 2), ("weak", 1, 2)]
    assert data.test_coverage is not None
    assert "metadata/eval/public.tsv, row 3: 1.wav" in data.test_coverage.absence


def test_a_missing_clip_with_several_events_is_counted_once(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    rows = [("gone.wav", "0", "0.1", "ring"), ("gone.wav", "0.2", "0.3", "ring"), ("./gone.wav", "0.4", "0.5", "knock")]
    with (root / "events.csv").open("a") as table:
        table.writelines(",".join(row) + "\n" for row in rows)

    problems = problems_of(root)
    (part,) = load(root, skip_invalid=True).coverage

    assert len(problems) == 1
    assert "gone.wav is not on disk" in problems[0]
    assert part.listed - part.found == 1


def test_unreadable_recordings_and_the_columns_of_other_tables_are_named(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    (root / "phone.m4a").write_bytes(b"other")

    assert ("left out", "1 file that libsndfile cannot read (.m4a); convert to WAV or FLAC") in load(root).notes
    (root / "events.csv").write_text((root / "events.csv").read_text().replace("onset", "start"))
    assert (
        "no table with filename, onset, offset, event_label (events.csv has filename, start, offset, event_label)"
        in (problems_of(root)[-1])
    )
    (root / "events.csv").write_text("name,start\n")
    with pytest.raises(UserError, match=r"contains no table with .* \(events.csv has name, start\)"):
        load(root)


def test_a_clip_in_two_tables_is_rejected(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    write_csv(root / "weak.csv", ("filename", "event_labels"), [("3.wav", "ring")])

    assert any("weak.csv, row 2: 3.wav is also in" in line for line in problems_of(root))


def test_other_names_of_columns_can_be_chosen(tmp_path: Path) -> None:
    root = make_events(tmp_path)
    text = (root / "events.csv").read_text().replace("onset,offset,event_label", "from,to,what")
    (root / "events.csv").write_text(text)

    with pytest.raises(UserError, match="no table with filename, onset, offset, event_label"):
        load(root)
    data = load(root, columns={"onset": "from", "offset": "to", "event_label": "what"})
    assert data.classes == ("knock", "ring")
    with pytest.raises(UserError, match=r"found the columns filename, from, to, what; expected"):
        load(root, table="events.csv")


def test_weak_labels_alone_are_not_enough(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", hertz=300)
    write_csv(tmp_path / "weak.csv", ("filename", "event_labels"), [("a.wav", "ring")])

    assert (
        "no table with filename, onset, offset, event_label (weak.csv has filename, event_labels); expected"
        in (problems_of(tmp_path)[0])
    )
