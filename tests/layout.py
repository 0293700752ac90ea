"""Tiny data sets in the layouts of both tasks."""

import csv
import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
SCENES = ("bus", "park", "tram")


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    """A tab-separated table with the rows' keys as its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a tab-separated table."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def make_tau(root: Path, *, seconds: float = 1.0, clips: int = 2) -> Path:
    """Noise of three colours as three scenes in TAU's layout: two cities, four locations, devices a and b."""
    meta, train, test = [], [], []
    recordings = iter(_tau_recordings(seconds, clips))
    (root / "audio").mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(SCENES):
        for place in range(4):
            city, location = ("paris", "lyon")[place % 2], f"{number}{place}"
            for segment in range(clips):
                for device in ("a", "b"):
                    name = f"audio/{scene}-{city}-{location}-{segment}-{device}.wav"
                    (root / name).write_bytes(next(recordings))
                    identifier = f"{city}-{location}"
                    meta.append(
                        {"filename": name, "scene_label": scene, "identifier": identifier, "source_label": device}
                    )
                    (test if place == 3 else train).append({"filename": name, "scene_label": scene})
    write_table(root / "meta.csv", meta)
    write_table(root / "evaluation_setup/fold1_train.csv", train)
    write_table(root / "evaluation_setup/fold1_evaluate.csv", test)
    return root


@lru_cache
def _tau_recordings(seconds: float, clips: int) -> tuple[bytes, ...]:
    """The files of a data set in the order of its table."""
    rng = np.random.default_rng(5)
    files = []
    for number in range(len(SCENES)):
        for _ in range(4 * clips * 2):
            noise = rng.normal(0, 0.05, round(RATE * seconds))
            tone = 0.2 * np.sin(2 * np.pi * 300 * 4**number * np.arange(len(noise)) / RATE)
            files.append(encode(noise + tone, RATE, "PCM_24"))
    return tuple(files)


def encode(samples: np.ndarray, rate: int, subtype: str) -> bytes:
    """A WAV file of these samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format="WAV")
    return file.getvalue()
