"""Inspections: counts, copies, levels and problems on a terminal and on a page."""

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dcase_sweep.data.folder.clips import ClipFolder
from dcase_sweep.data.folder.events import EventFolder
from dcase_sweep.data.inspection.examples import make_examples
from dcase_sweep.data.inspection.page import make_page
from dcase_sweep.data.inspection.recordings import measure_recordings
from dcase_sweep.data.inspection.summary import Inspection, format_seconds, summarize
from dcase_sweep.data.inspection.text import print_inspection
from dcase_sweep.data.tau import TAU
from tests.folder_layouts import RATE, make_class_folders, make_desed_like, make_esc50, write_tone
from tests.layout import make_tau


def inspect(data: Any, tmp_path: Path, seconds: float = 1.0) -> tuple[Inspection, str]:
    recordings = measure_recordings(data.root, data.filenames, store_root=tmp_path / "store")
    inspection = summarize(data, recordings, seconds=seconds)
    return inspection, make_page(inspection, make_examples(data, recordings))


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_counts_of_classes_devices_and_cities(tmp_path: Path) -> None:
    inspection, _ = inspect(TAU(name="tau", root=str(make_tau(tmp_path / "tau"))).load(), tmp_path)

    tables = {counts.what: counts for counts in inspection.counts}
    assert list(tables) == ["class", "device", "city"]
    assert tables["class"].splits == ("train", "validation", "test")
    assert tables["class"].rows["bus"] == (8, 4, 4)
    assert {name: sum(row) for name, row in tables["device"].rows.items()} == {"a": 24, "b": 24}
    assert tables["city"].seconds["lyon"] == pytest.approx(24.0)


def test_unknown_properties_are_not_counted(tmp_path: Path) -> None:
    inspection, _ = inspect(ClipFolder(root=str(make_esc50(tmp_path / "esc"))).load(), tmp_path)

    assert [counts.what for counts in inspection.counts] == ["class"]
    assert ("labels", "meta/esc50.csv: filename, label = category, group = src_file, fold") in inspection.notes


def test_counts_of_events(tmp_path: Path) -> None:
    inspection, page = inspect(EventFolder(root=str(make_desed_like(tmp_path / "own"))).load(), tmp_path)

    (counts,) = inspection.counts
    assert counts.rows["Dog"] == (2, 2, 1)
    assert counts.rows["(unlabelled)"] == (1, 0, 0)
    assert counts.events == {"Cat": 4, "Dog": 3}
    assert counts.seconds["Cat"] == pytest.approx(4 * 0.5)
    assert Page(page).tags.count(("audio", next(a for tag, a in Page(page).tags if tag == "audio"))) == 1


def test_copies_clipping_silence_and_problems_are_named(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path / "sounds")
    shutil.copy(root / "car/0.wav", root / "car/copy.wav")
    loud = np.clip(3 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE), -1, 1)
    soundfile.write(root / "car/loud.wav", loud, RATE)
    soundfile.write(root / "bird/pause.wav", np.concatenate([0.1 * loud[:4000], np.zeros(12_000)]), RATE)
    soundfile.write(root / "bird/silent.wav", np.zeros(RATE), RATE)
    (root / "bird/text.wav").write_text("not a sound")

    data = ClipFolder(root=str(root)).load(check=lambda root, names: [])
    inspection, page = inspect(data, tmp_path, seconds=10.0)

    assert any("the same recording" in line and "car/0.wav = car/copy.wav" in line for line in inspection.warnings)
    assert any(line.startswith("car/loud.wav: ") and "are clipped" in line for line in inspection.warnings)
    assert "bird/pause.wav: 70 % of its length is silent" in inspection.warnings
    assert [line.partition(":")[0] for line in inspection.problems] == ["bird/silent.wav", "bird/text.wav"]
    assert inspection.warnings[0].startswith("clips have data.seconds=10, but most recordings last 1 s")
    assert inspection.warnings[0].endswith(", unless data.seconds=1")
    assert dict(inspection.figures)["clipping"] == "1 recording with samples at full scale"
    assert "bird/text.wav" in page


def test_the_page_is_whole_and_escapes_names(tmp_path: Path) -> None:
    label = "<img src=x onerror=alert(1)>"
    for number in range(5):
        write_tone(tmp_path / "sounds" / label / f"{number}.wav", hertz=300 + number)
        write_tone(tmp_path / "sounds" / "개 & 고양이" / f'"{number}".wav', hertz=900 + number)

    _, page = inspect(ClipFolder(root=str(tmp_path / "sounds")).load(), tmp_path)

    read = Page(page)
    sources = [attributes["src"] or "" for _, attributes in read.tags if "src" in attributes]
    assert len(sources) == 4
    assert all(source.startswith(("data:image/png;base64,", "data:audio/")) for source in sources)
    assert not [tag for tag, _ in read.tags if tag in ("script", "link", "iframe")]
    assert label in "".join(read.words)
    assert "개 & 고양이" in "".join(read.words)
    assert ("meta", {"charset": "utf-8"}) in read.tags


def test_the_summary_fits_eighty_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    root = tmp_path / "sounds"
    for label in ("a" * 70, "short"):
        for number in range(10):
            write_tone(root / label / f"{number}.wav", hertz=300 + number)
    inspection, _ = inspect(ClipFolder(root=str(root)).load(), tmp_path)

    print_inspection(inspection)

    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert any(line.split() == ["short", "7", "1", "2", "10", "10.0", "s"] for line in printed.splitlines())
    assert "[" not in printed


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.054, "0.05 s"), (4, "4.0 s"), (200, "3 min 20 s"), (10_000, "2 h 46 min")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_an_example_begins_with_a_sound(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path / "sounds")
    tone = 0.1 * np.sin(np.arange(RATE))
    soundfile.write(root / "bird/0.wav", np.concatenate([np.zeros(6 * RATE), tone]), RATE)  # an example lasts 5 s

    _, page = inspect(ClipFolder(root=str(root)).load(), tmp_path)

    shown = "".join(Page(page).words)
    assert "bird/1.wav, 0.0 to 1.0 s" in shown
    assert "bird/0.wav, 0.0" not in shown


def test_spectrograms_have_axes_and_long_lists_are_folded(tmp_path: Path) -> None:
    root = make_class_folders(tmp_path / "sounds", clips=12)
    for path in root.rglob("*.wav"):
        soundfile.write(path, np.concatenate([0.1 * np.sin(np.arange(4000)), np.zeros(12_000)]), RATE)

    inspection, page = inspect(ClipFolder(root=str(root)).load(), tmp_path)

    read = Page(page)
    ticks = [attributes["style"] for tag, attributes in read.tags if tag == "i"]
    assert [style for style in ticks if style and style.startswith("bottom:")][:2] == ["bottom:0.0%", "bottom:18.1%"]
    assert ("details", {}) in read.tags
    assert f"{len(inspection.warnings) - 10} more" in read.words
