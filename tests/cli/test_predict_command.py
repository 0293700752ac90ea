"""``predict`` from its command line to its files."""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import dcase_sweep
from dcase_sweep.__main__ import main
from dcase_sweep.data.events import DESED_CLASSES
from tests.checkpoints import EVENTS, SCENE_CLASSES, SCENES, write_checkpoint

Predict = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scene classifier and a detector of events."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoint(folder / "scenes.ckpt", SCENES, SCENE_CLASSES)
    write_checkpoint(folder / "events.ckpt", EVENTS, DESED_CLASSES, prefix="student.")
    return folder


@pytest.fixture
def predict(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Predict:
    """Run the command in a folder with the checkpoints and three recordings; returns code, output and errors."""
    for name in ("scenes.ckpt", "events.ckpt"):
        (tmp_path / name).symlink_to(checkpoints / name)
    record(tmp_path / "recordings/short.wav", 0.4)
    record(tmp_path / "recordings/long, 길다.flac", 3.3, channels=2, rate=22_050)
    record(tmp_path / "recordings/sub/clip.ogg", 1.0)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["predict", *words])
        return code, *capsys.readouterr()

    return run


def record(path: Path, seconds: float, *, channels: int = 1, rate: int = 44_100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(rate * seconds)) / rate
    tone = 0.2 * np.sin(2 * np.pi * 500 * time) + 0.05 * np.random.default_rng(1).standard_normal(len(time))
    soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate)


def rows(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_settings_may_precede_the_run(predict: Predict) -> None:
    code, output, _ = predict("tracking.folder=runs", "scenes.ckpt", "recordings/short.wav")

    assert code == 0
    assert [row["filename"] for row in rows(output)] == ["recordings/short.wav"]
    assert predict("tracking.folder=runs")[2] == "error: RUN: not given; see python -m dcase_sweep predict --help\n"


def test_the_scenes_of_a_folder_are_a_table_with_probabilities(predict: Predict) -> None:
    code, output, errors = predict("scenes.ckpt", "recordings")

    table = rows(output)
    assert code == 0
    assert list(table[0]) == ["filename", "scene_label", *SCENE_CLASSES]
    assert [row["filename"] for row in table] == ["long, 길다.flac", "short.wav", "sub/clip.ogg"]
    for row in table:
        probabilities = {name: float(row[name]) for name in SCENE_CLASSES}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert row["scene_label"] == max(probabilities, key=lambda name: probabilities[name])
    assert errors.startswith("3 recordings, 4.7 s, in ")


def test_the_command_and_the_python_api_give_the_same_predictions(predict: Predict) -> None:
    model = dcase_sweep.load_run("scenes.ckpt")
    samples, rate = soundfile.read("recordings/long, 길다.flac", dtype="float32")

    table = rows(predict("scenes.ckpt", "recordings/long, 길다.flac", "--segments")[1])
    found = model.predict(samples, rate)

    assert [(float(row["onset"]), row["scene_label"]) for row in table] == [
        (pytest.approx(segment.onset, abs=1e-5), segment.label) for segment in found.segments
    ]
    assert [float(row["onset"]) for row in table] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.3], abs=1e-4)
    assert found.probabilities == pytest.approx(model.predict("recordings/long, 길다.flac").probabilities, abs=1e-5)


def test_the_events_of_a_recording_are_a_table_of_times(predict: Predict) -> None:
    code, output, _ = predict("events.ckpt", "recordings/long, 길다.flac", "--threshold", "0.4", "--format", "tsv")

    table = rows(output, "\t")
    assert code == 0
    assert list(table[0]) == ["filename", "onset", "offset", "event_label", "confidence"]
    for row in table:
        assert 0 <= float(row["onset"]) < float(row["offset"]) <= 3.3
        assert row["event_label"] in DESED_CLASSES
        assert 0 < float(row["confidence"]) < 1
    assert rows(predict("events.ckpt", "recordings", "--threshold", "1")[1]) == []


@pytest.mark.parametrize("name", ["found.csv", "found.tsv", "found.jsonl"])
def test_the_suffix_of_the_output_chooses_its_format(predict: Predict, name: str) -> None:
    code, output, _ = predict("scenes.ckpt", "recordings", "-o", name)

    text = Path(name).read_text(encoding="utf-8")
    assert (code, output) == (0, "")
    if name.endswith(".jsonl"):
        names = [json.loads(line)["filename"] for line in text.splitlines()]
    else:
        names = [row["filename"] for row in rows(text, "\t" if name.endswith(".tsv") else ",")]
    assert names == ["long, 길다.flac", "short.wav", "sub/clip.ogg"]


def test_label_tracks_lie_in_a_folder_as_the_recordings_do(predict: Predict) -> None:
    code, _, _ = predict("scenes.ckpt", "recordings", "-o", "tracks")

    assert code == 0
    assert sorted(path.relative_to("tracks").as_posix() for path in Path("tracks").rglob("*.txt")) == [
        "long, 길다.txt",
        "short.txt",
        "sub/clip.txt",
    ]
    first = Path("tracks/long, 길다.txt").read_text(encoding="utf-8").splitlines()[0].split("\t")
    assert (float(first[0]), first[2] in SCENE_CLASSES) == (0.0, True)


def test_a_dash_is_standard_output(predict: Predict) -> None:
    code, output, _ = predict("scenes.ckpt", "recordings", "-o", "-")

    assert (code, len(rows(output))) == (0, 3)
    assert not Path("-").exists()


def test_a_label_track_is_of_one_recording(predict: Predict) -> None:
    code, output, _ = predict("scenes.ckpt", "recordings/short.wav", "--format", "audacity")
    assert (code, output.split("\t")[:2]) == (0, ["0.000000", "0.400000"])

    code, _, errors = predict("scenes.ckpt", "recordings", "--format", "audacity")
    assert (code, errors) == (
        1,
        "error: audacity: a label track is for one recording, found 3; expected -o FOLDER\n",
    )


def test_bad_files_are_named_and_left_out(predict: Predict) -> None:
    Path("recordings/notes.wav").write_text("no audio")

    code, output, errors = predict("scenes.ckpt", "recordings", "-o", "found.csv")

    assert (code, output) == (1, "")
    assert len(rows(Path("found.csv").read_text(encoding="utf-8"))) == 3
    assert errors.startswith("skipped: notes.wav: not audio that libsndfile can read")
    assert errors.endswith("; 1 skipped\n")


def test_a_bad_file_may_have_the_name_of_another(predict: Predict) -> None:
    Path("recordings/short.m4a").write_text("no audio")

    code, _, errors = predict("scenes.ckpt", "recordings", "-o", "tracks", "--figures", "figures")

    assert code == 1
    assert errors.startswith("skipped: short.m4a: not audio that libsndfile can read")
    assert len(list(Path("tracks").rglob("*.txt"))) == len(list(Path("figures").rglob("*.png"))) == 3


def test_a_name_in_another_encoding_ends_no_command(predict: Predict) -> None:
    Path("recordings/short.wav").rename(os.fsdecode(b"recordings/k\xfcrz.wav"))

    for name in ("found.csv", "found.jsonl", "tracks"):
        code, _, errors = predict("scenes.ckpt", "recordings", "-o", name)

        assert (code, errors.splitlines()[0]) == (1, "skipped: k\\udcfcrz.wav: its name is not UTF-8; rename it")
    assert len(rows(Path("found.csv").read_text(encoding="utf-8"))) == 2


def test_a_recording_comes_through_standard_input(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Path("recordings/short.wav").read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    (piped,) = rows(predict("scenes.ckpt", "-")[1])
    (named,) = rows(predict("scenes.ckpt", "recordings/short.wav")[1])

    assert piped == {**named, "filename": "-"}


@pytest.mark.parametrize("run", ["scenes.ckpt", "events.ckpt"])
def test_a_figure_of_each_recording(predict: Predict, run: str) -> None:
    assert predict(run, "recordings", "--figures", "figures", "-o", "found.csv")[0] == 0

    drawn = sorted(path.relative_to("figures").as_posix() for path in Path("figures").rglob("*.png"))
    assert drawn == ["long, 길다.png", "short.png", "sub/clip.png"]
    assert all((Path("figures") / name).read_bytes().startswith(b"\x89PNG") for name in drawn)


@pytest.mark.parametrize("name", ["found.csv", "found.jsonl"])
@pytest.mark.parametrize("run", ["scenes.ckpt", "events.ckpt"])
def test_an_interrupted_table_is_continued(predict: Predict, name: str, run: str) -> None:
    words = (run, "recordings", "--threshold", "0.3") if run == "events.ckpt" else (run, "recordings")
    predict(*words, "-o", name)
    whole = Path(name).read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    second = next(place for place, line in enumerate(lines) if "short.wav" in line)

    Path(name).write_text("".join(lines[: second + 1]) + "sub/cl", encoding="utf-8")
    code, _, errors = predict(*words, "-o", name, "--continue")

    assert code == 0
    assert Path(name).read_text(encoding="utf-8") == whole
    assert errors.startswith("2 recordings")


def test_a_table_of_other_recordings_is_not_continued(predict: Predict) -> None:
    predict("scenes.ckpt", "recordings", "-o", "found.csv")

    code, _, errors = predict("scenes.ckpt", "recordings/short.wav", "-o", "found.csv", "--continue")

    assert code == 1
    assert errors.startswith("error: found.csv: ends with sub/clip.ogg, which is not one of these recordings")


@pytest.mark.parametrize("name", ["found.csv", "found.jsonl"])
def test_a_table_with_other_columns_is_not_continued(predict: Predict, name: str) -> None:
    predict("scenes.ckpt", "recordings", "-o", name)
    before = Path(name).read_bytes()

    code, _, errors = predict("events.ckpt", "recordings", "-o", name, "--continue", "--threshold", "0.1")

    assert (code, Path(name).read_bytes()) == (1, before)
    assert errors.startswith(f"error: {name}: its columns are ")
    assert errors.endswith("continue with the same model and options, or leave out --continue\n")


def test_a_table_of_windows_is_not_continued_with_rows_of_recordings(predict: Predict) -> None:
    predict("scenes.ckpt", "recordings", "-o", "found.csv", "--segments")

    code, _, errors = predict("scenes.ckpt", "recordings", "-o", "found.csv", "--continue")

    assert code == 1
    assert "its columns are filename, onset, offset, scene_label, confidence; expected filename, sc" in errors


@pytest.mark.parametrize("name", ["found.csv", "found.jsonl"])
def test_a_table_with_a_line_separator_in_a_name_is_continued(predict: Predict, name: str) -> None:
    recordings = ["recordings/short.wav", "recordings/one\u2028two.wav"]
    Path(recordings[1]).write_bytes(Path(recordings[0]).read_bytes())
    predict("scenes.ckpt", *recordings, "-o", name)
    before = Path(name).read_bytes()

    code, _, errors = predict("scenes.ckpt", *recordings, "-o", name, "--continue")

    assert (code, Path(name).read_bytes()) == (0, before)
    assert errors.startswith("1 recording,")


@pytest.mark.parametrize("name", ["recordings/short.wav", "scenes.ckpt", "linked"])
def test_a_file_that_is_read_is_not_replaced(predict: Predict, name: str) -> None:
    Path("linked").symlink_to("recordings/short.wav")
    before = Path(name).read_bytes()

    code, _, errors = predict("scenes.ckpt", "recordings", "-o", name, "--format", "csv")

    assert (code, Path(name).read_bytes()) == (1, before)
    assert errors == f"error: {name}: is read by this command; expected another file for its output\n"


def test_names_of_classes_are_required_for_a_checkpoint_without_them(predict: Predict) -> None:
    write_checkpoint(Path("earlier.ckpt"), SCENES, SCENE_CLASSES, names=False)

    code, _, errors = predict("earlier.ckpt", "recordings")
    assert code == 1
    assert errors == (
        "error: run=earlier.ckpt: does not name its 3 classes; expected --classes A,B,... in their order\n"
    )

    (row,) = rows(predict("earlier.ckpt", "recordings/short.wav", "--classes", "a, b, c")[1])
    assert list(row) == ["filename", "scene_label", "a", "b", "c"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["scenes.ckpt"], "no recordings named; expected files, folders, or -"),
        (["nowhere.ckpt", "recordings"], "run=nowhere.ckpt: no such run in "),
        (["recordings/short.wav", "recordings"], "run=recordings/short.wav: not a checkpoint of this project"),
        (["scenes.ckpt", "recordings", "--overlap", "1"], "overlap=1: expected a number from 0 to 0.95"),
        (["scenes.ckpt", "recordings", "--threshold", "0.5"], "threshold=0.5: no effect, because recordings have one"),
        (["events.ckpt", "recordings", "--threshold", "2"], "threshold=2: expected a number from 0 to 1"),
        (["scenes.ckpt", "recordings", "-o", "found.xls"], "found.xls: unknown format; expected .csv, .tsv or .jsonl"),
        (["scenes.ckpt", "recordings", "-o", "no/found.csv"], "no/found.csv: cannot be written; expected"),
        (["scenes.ckpt", "recordings", "--continue"], "--continue: nothing to continue; expected -o"),
        (["scenes.ckpt", "recordings", "--figures", "scenes.ckpt"], "--figures scenes.ckpt: a file; expected"),
        (["scenes.ckpt", "recordings", "--figure", "x"], "unrecognized arguments: --figure"),
        (["scenes.ckpt", "recordings", "tracking.uri="], "tracking.uri=: no value; expected KEY=VALUE"),
    ],
)
def test_mistakes_are_one_line(predict: Predict, words: list[str], line: str) -> None:
    code, output, errors = predict(*words)

    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    assert errors.startswith(f"error: {line}")


def test_recordings_that_would_be_drawn_into_one_file_are_rejected(predict: Predict) -> None:
    record(Path("recordings/short.flac"), 0.4)

    code, _, errors = predict("scenes.ckpt", "recordings", "--figures", "figures")

    assert code == 1
    assert "short.flac and short.wav would both be figures/short.png" in errors


def test_a_file_with_an_equals_sign_is_no_key(predict: Predict) -> None:
    record(Path("gain=2.wav"), 0.4)

    assert [row["filename"] for row in rows(predict("scenes.ckpt", "gain=2.wav")[1])] == ["gain=2.wav"]
