"""Recordings named on a command line."""

import io
import os
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from dcase_sweep.inference.sources import find_sources
from dcase_sweep.utils.errors import UserError


def record(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(1).standard_normal(round(8_000 * seconds))
    soundfile.write(path, samples, 8_000)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b/2.wav", "b/1.flac", "a/3.ogg", ".hidden/4.wav"):
        record(tmp_path / "recordings" / name)
    (tmp_path / "recordings/notes.txt").write_text("no recording")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recordings"


def names(*words: str) -> list[str]:
    with ExitStack() as stack:
        return [source.name for source in find_sources(words, stack)]


def send(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_the_recordings_of_a_folder_are_named_relative_to_it(folder: Path) -> None:
    assert names("recordings") == ["a/3.ogg", "b/1.flac", "b/2.wav"]


def test_linked_folders_are_followed_and_unreadable_recordings_named(folder: Path) -> None:
    record(folder.parent / "elsewhere/5.wav")
    (folder / "linked").symlink_to(folder.parent / "elsewhere", target_is_directory=True)
    (folder / "a/circle").symlink_to(folder, target_is_directory=True)
    (folder / "a/phone.M4A").write_bytes(b"other")
    record(folder / "__MACOSX/6.wav")

    assert names("recordings") == ["a/3.ogg", "a/phone.M4A", "b/1.flac", "b/2.wav", "linked/5.wav"]


def test_recordings_of_several_folders_are_reported_apart(folder: Path) -> None:
    record(folder / "a/2.wav")

    assert names("recordings/a", "recordings/b/2.wav", "recordings/b") == [
        "recordings/a/2.wav",
        "recordings/a/3.ogg",
        "recordings/b/2.wav",
        "recordings/b/1.flac",
    ]


def test_lengths_are_read_and_problems_kept_for_later(folder: Path) -> None:
    with ExitStack() as stack:
        good, bad, missing = find_sources(["recordings/b/2.wav", "recordings/notes.txt", "nowhere.wav"], stack)

    assert (good.seconds, good.problem) == (0.5, None)
    assert "not audio" in str(bad.problem)
    assert missing.problem == "no such file; expected an audio file"


def test_a_name_that_is_not_utf_8_is_a_problem(folder: Path) -> None:
    record(folder / "a/street.wav").rename(folder / os.fsdecode(b"a/stra\xdfe.wav"))
    with ExitStack() as stack:
        found = find_sources(["recordings"], stack)

    assert [source.problem for source in found if source.problem] == ["its name is not UTF-8; rename it"]
    assert len(found) == 4


def test_a_folder_without_recordings_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recordings in this folder; expected"):
        names(str(tmp_path))


@pytest.mark.parametrize("between", ["\n", "\r\n", "\0"])
def test_names_come_through_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch, between: str) -> None:
    send(monkeypatch, between.join(["recordings/b/2.wav", "recordings/a/3.ogg", ""]).encode())

    assert names("-") == ["recordings/b/2.wav", "recordings/a/3.ogg"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_name_may_contain_a_line_separator_of_unicode(
    folder: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    Path("one\u2028two.wav").write_bytes(Path("recordings/b/2.wav").read_bytes())
    send(monkeypatch, f"one\u2028two.wav{end}recordings/a/3.ogg{end}".encode())
    assert names("-") == ["one\u2028two.wav", "recordings/a/3.ogg"]


@pytest.mark.parametrize("name", ["b/2.wav", "b/1.flac", "a/3.ogg"])
def test_a_recording_comes_through_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    content = (folder / name).read_bytes()
    send(monkeypatch, content)

    with ExitStack() as stack:
        (source,) = find_sources(["-"], stack)
        assert source.path.read_bytes() == content
    assert (source.name, source.seconds) == ("-", 0.5)
    assert not source.path.exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"", "^-: standard input is empty"), (b"\x80\x81 no text", "^-: neither an audio file nor text")],
)
def test_input_that_is_neither_names_nor_audio_is_rejected(
    monkeypatch: pytest.MonkeyPatch, content: bytes, line: str
) -> None:
    send(monkeypatch, content)

    with pytest.raises(UserError, match=line):
        names("-")
