"""Tiny data sets in the layouts of public ones, with tones instead of recordings."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def write_tone(path: Path, *, hertz: float, seconds: float = 1.0, seed: int = 0) -> None:
    """A tone in a little noise, mono, 16 bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(RATE * seconds)) / RATE
    noise = np.random.default_rng([seed, round(hertz)]).normal(0, 0.01, len(time))
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time) + noise, RATE, subtype="PCM_16")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> None:
    """A table with this header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])


def make_class_folders(root: Path, *, clips: int = 5, seconds: float = 1.0) -> Path:
    """A folder for each of two classes."""
    for label, hertz in (("bird", 2000.0), ("car", 150.0)):
        for number in range(clips):
            write_tone(root / label / f"{number}.wav", hertz=hertz, seconds=seconds, seed=number)
    return root


def make_esc50(root: Path, *, seconds: float = 1.0) -> Path:
    """Ten clips of two classes as ESC-50 has them: five folds, each with a source of its own."""
    rows: list[list[object]] = []
    for fold in range(1, 6):
        for target, category, hertz in ((0, "dog", 700.0), (1, "rooster", 2500.0)):
            source = 100_000 + 10 * fold + target
            name = f"{fold}-{source}-A-{target}.wav"
            write_tone(root / "audio" / name, hertz=hertz, seconds=seconds, seed=fold)
            rows.append([name, fold, target, category, "True", source, "A"])
    header = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    write_csv(root / "meta/esc50.csv", header, rows)
    (root / "README.md").write_text("ESC-50\n")
    (root / "audio/.htaccess").write_text("")
    return root


def make_urbansound8k(root: Path, *, seconds: float = 1.0) -> Path:
    """Ten clips of two classes as UrbanSound8K has them, in ten folds that are folders; one source is in two folds."""
    rows: list[list[object]] = []
    for fold in range(1, 11):
        number, label, hertz = ((3, "dog_bark", 700.0), (8, "siren", 1500.0))[fold % 2]
        source = 1000 + (fold if fold != 3 else 1)
        name = f"{source}-{number}-0-{fold}.wav"
        write_tone(root / f"audio/fold{fold}" / name, hertz=hertz, seconds=seconds, seed=fold)
        rows.append([name, source, 0.0, seconds, 1, fold, number, label])
    header = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    write_csv(root / "metadata/UrbanSound8K.csv", header, rows)
    (root / "audio/.DS_Store").write_bytes(b"\0")
    return root


def make_desed_like(root: Path, *, seconds: float = 1.0) -> Path:
    """Ten clips in the layout of DESED: names that occur in several folders, and a table for each folder."""

    def write(folder: str, names: Sequence[str]) -> None:
        for number, name in enumerate(names):
            write_tone(root / "audio" / folder / name, hertz=400.0 + 200 * number, seconds=seconds, seed=number)

    strong = ("filename", "onset", "offset", "event_label")
    events = [("0.wav", "Cat"), ("1.wav", "Dog"), ("2.wav", "Cat")]
    for folder, count in (("train/synthetic21_train/soundscapes", 3), ("validation/validation", 2), ("eval/public", 2)):
        write(folder, [name for name, _ in events[:count]])
        rows = [(name, 0.1 * seconds, 0.6 * seconds, label) for name, label in events[:count]]
        write_csv(root / "metadata" / f"{folder}.tsv", strong, rows, "\t")
    write("train/weak", ["w0.wav", "w1.wav"])
    write_csv(
        root / "metadata/train/weak.tsv",
        ("filename", "event_labels"),
        [("w0.wav", "Cat,Dog"), ("w1.wav", "Dog")],
        "\t",
    )
    write("train/unlabel_in_domain", ["u0.wav"])
    write_csv(root / "metadata/validation/validation_durations.tsv", ("filename", "duration"), [("0.wav", 1.0)], "\t")
    return root


def make_events(root: Path, *, clips: int = 10, seconds: float = 1.0) -> Path:
    """Clips with one event each, and one table in the same folder, without splits and weak labels."""
    rows = []
    for number in range(clips):
        label = ("knock", "ring")[number % 2]
        write_tone(root / f"{number}.wav", hertz=(300.0, 1800.0)[number % 2], seconds=seconds, seed=number)
        rows.append((f"{number}.wav", 0.2 * seconds, 0.7 * seconds, label))
    write_csv(root / "events.csv", ("filename", "onset", "offset", "event_label"), rows)
    return root
