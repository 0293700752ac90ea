"""Tables of DESED that do not belong to the recordings: cut off, of another set, or in another unit."""

import os
from pathlib import Path

import pytest
import soundfile

from dcase_sweep.data.desed import DESED
from dcase_sweep.utils.errors import DataError
from tests import desed_layout as layout
from tests.layout import read_table, write_table


@pytest.fixture
def desed(tmp_path: Path) -> Path:
    """Create a tiny data set in DESED's layout that a test may damage."""
    return layout.make_desed(tmp_path / "desed")


def problems_of(root: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        DESED(name="tiny", root=str(root)).load()
    return caught.value.problems


def rewrite(path: Path, column: str, change: object) -> None:
    write_table(path, [{**row, column: change(row[column])} for row in read_table(path)])  # type: ignore[operator]


@pytest.mark.parametrize("factor", [1000, 62.5, 1 / 60])
def test_durations_in_another_unit_are_refused(desed: Path, factor: float) -> None:
    table = desed / layout.VALIDATION_DURATIONS
    for column in ("onset", "offset", "event_label"):  # events would contradict the shorter durations
        rewrite(desed / layout.VALIDATION_TABLE, column, lambda _: "")
    rewrite(table, "duration", lambda text: f"{float(text) * factor:g}")

    problems = problems_of(desed)

    assert len(problems) == 4
    assert problems[0] == (
        f"{table}, row 2: {layout.recording('v', 0)} lasts {factor:g} s here and 1 s on disk; expected seconds, and "
        "the duration of the recording"
    )


def test_one_wrong_duration_is_refused(desed: Path) -> None:
    table = desed / layout.SYNTHETIC_VALIDATION_DURATIONS
    rows = read_table(table)
    write_table(table, [rows[0], {**rows[1], "duration": "60"}, rows[2]])

    assert [line.split(":")[0] for line in problems_of(desed)] == [f"{table}, row 3"]


@pytest.mark.parametrize("change", [lambda name: name.removesuffix(".wav"), lambda name: f"validation/{name}"])
def test_clips_of_the_durations_are_no_substitute_for_those_of_the_labels(desed: Path, change: object) -> None:
    rewrite(desed / layout.VALIDATION_TABLE, "filename", change)
    first = read_table(desed / layout.VALIDATION_TABLE)[0]["filename"]

    assert problems_of(desed) == [
        f"{desed}: {layout.VALIDATION_AUDIO} hold none of the 4 validation clips that validation.tsv lists "
        f"({first}, ...); download or move them there"
    ]


@pytest.mark.parametrize(
    ("table", "subset"),
    [
        (layout.STRONG_TABLE, "strong"),
        (layout.WEAK_TABLE, "weak"),
        (layout.SYNTHETIC_VALIDATION_TABLE, "synthetic_validation"),
        (layout.VALIDATION_TABLE, "validation"),
    ],
)
def test_a_table_without_rows_is_refused(desed: Path, table: str, subset: str) -> None:
    header, _, _ = (desed / table).read_text().partition("\n")
    (desed / table).write_text(f"{header}\n")

    assert problems_of(desed) == [f"{desed / table}: names no clip; expected the {subset} clips"]


def test_rows_that_cannot_be_read_are_reported_where_none_is_left(desed: Path) -> None:
    (desed / layout.WEAK_TABLE).write_text("filename,event_labels\na.wav,Cat,Dog\n")

    assert problems_of(desed) == [
        f"{desed / layout.WEAK_TABLE}, row 2: 3 cells; expected 2 as in the header",
        f"{desed / layout.WEAK_TABLE}: names no clip; expected the weak clips",
    ]


def test_clips_with_a_duration_and_no_row_are_counted(desed: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_table(desed / layout.VALIDATION_TABLE, read_table(desed / layout.VALIDATION_TABLE)[:1])

    data = DESED(name="tiny", root=str(desed)).load()

    assert len(data.test) == 4
    assert [record.message for record in caplog.records] == [
        "data      3 of 4 clips of validation_durations.tsv have no row in validation.tsv; they count as clips "
        f"without events: {layout.recording('v', 1)}, ..."
    ]


@pytest.mark.parametrize(
    ("table", "audio"), [(layout.STRONG_TABLE, layout.STRONG_AUDIO), (layout.WEAK_TABLE, layout.WEAK_AUDIO)]
)
def test_recordings_that_no_table_names_are_counted(
    desed: Path, table: str, audio: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read_table(desed / table)
    write_table(desed / table, rows[:-1])

    DESED(name="tiny", root=str(desed)).load()

    assert [record.message for record in caplog.records] == [
        f"data      1 recording in {audio} without a row in {Path(table).name}, not used: {rows[-1]['filename']}"
    ]


def test_hidden_files_of_macos_are_no_recordings(desed: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = DESED(name="tiny", root=str(desed)).load()
    for audio in (layout.WEAK_AUDIO, layout.UNLABELED_AUDIO, layout.VALIDATION_AUDIO):
        (desed / audio / "._0.wav").write_bytes(b"\0\5\x16\7")

    assert DESED(name="tiny", root=str(desed)).load().fingerprint == before.fingerprint
    assert caplog.records == []


@pytest.mark.parametrize("name", ["more.WAV", "more.mp3"])
def test_unlabelled_recordings_of_any_suffix_are_used(desed: Path, name: str) -> None:
    samples, rate = soundfile.read(next((desed / layout.UNLABELED_AUDIO).iterdir()))
    soundfile.write(desed / layout.UNLABELED_AUDIO / name, samples, rate, format=name[-3:].upper())

    assert len(DESED(name="tiny", root=str(desed)).load().unlabeled) == 5


@pytest.mark.parametrize("name", [b"stra\xdfe.wav", b"a\nb.wav"])
def test_a_name_that_no_table_could_contain_is_refused_or_named(
    desed: Path, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sound = next((desed / layout.WEAK_AUDIO).iterdir()).read_bytes()
    (desed / layout.WEAK_AUDIO / os.fsdecode(name)).write_bytes(sound)
    DESED(name="tiny", root=str(desed)).load()
    assert caplog.records[0].message.isprintable()
    (desed / layout.UNLABELED_AUDIO / os.fsdecode(name)).write_bytes(sound)

    (problem,) = problems_of(desed)
    assert problem.endswith(".wav: the name has a control character or is not UTF-8; rename it")
    assert problem.isprintable()


def test_a_complete_data_set_has_no_warning(desed: Path, caplog: pytest.LogCaptureFixture) -> None:
    DESED(name="tiny", root=str(desed)).load()

    assert caplog.records == []
