"""A tiny data set in DESED's layout, as DCASE 2021 task 4 has it."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from tests.layout import encode, write_table

RATE = 16_000
STRONG_TABLE = "metadata/train/synthetic21_train/soundscapes.tsv"
STRONG_AUDIO = "audio/train/synthetic21_train/soundscapes"
WEAK_TABLE = "metadata/train/weak.tsv"
WEAK_AUDIO = "audio/train/weak"
UNLABELED_TABLE = "metadata/train/unlabel_in_domain.tsv"
UNLABELED_AUDIO = "audio/train/unlabel_in_domain"
SYNTHETIC_VALIDATION_TABLE = "metadata/validation/synthetic21_validation/soundscapes.tsv"
SYNTHETIC_VALIDATION_DURATIONS = "metadata/validation/synthetic21_validation/durations.tsv"
SYNTHETIC_VALIDATION_AUDIO = "audio/validation/synthetic21_validation/soundscapes"
VALIDATION_TABLE = "metadata/validation/validation.tsv"
VALIDATION_DURATIONS = "metadata/validation/validation_durations.tsv"
VALIDATION_AUDIO = "audio/validation/validation"

LABELS = ("Cat", "Dog", "Speech")


def recording(letter: str, number: int) -> str:
    """Return a name like those of real recordings: a video and its time range."""
    return f"Y{letter * 10}{number % 10}_{10 * number}.000_{10 * number + 10}.000.wav"


def make_desed(root: Path, *, seconds: float = 1.0) -> Path:
    """Noise with tones as events: 6 strong, 10 weak, 4 unlabelled, 3 and 4 validation clips, one of these silent."""
    recordings = iter(_recordings(seconds))

    def write(folder: str, name: str) -> None:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_bytes(next(recordings))

    for table, durations, folder, names in (
        (STRONG_TABLE, None, STRONG_AUDIO, [f"{n}.wav" for n in range(6)]),
        (
            SYNTHETIC_VALIDATION_TABLE,
            SYNTHETIC_VALIDATION_DURATIONS,
            SYNTHETIC_VALIDATION_AUDIO,
            [f"{n}.wav" for n in range(3)],
        ),
        (VALIDATION_TABLE, VALIDATION_DURATIONS, VALIDATION_AUDIO, [recording("v", n) for n in range(4)]),
    ):
        for name in names:
            write(folder, name)
        events = [
            {
                "filename": name,
                "onset": f"{0.1 * seconds:g}",
                "offset": f"{0.6 * seconds:g}",
                "event_label": LABELS[n % 3],
            }
            for n, name in enumerate(names)
        ]
        if table == VALIDATION_TABLE:
            events[-1] |= {"onset": "", "offset": "", "event_label": ""}
        write_table(root / table, events)
        if durations:
            write_table(root / durations, [{"filename": name, "duration": f"{seconds:.1f}"} for name in names])
    weak = [recording("w", n) for n in range(10)]
    for name in weak:
        write(WEAK_AUDIO, name)
    write_table(root / WEAK_TABLE, [{"filename": name, "event_labels": "Dog,Cat"} for name in weak])
    unlabeled = [recording("u", n) for n in range(4)]
    for name in unlabeled:
        write(UNLABELED_AUDIO, name)
    write_table(root / UNLABELED_TABLE, [{"filename": name} for name in unlabeled])
    return root


@lru_cache
def _recordings(seconds: float) -> tuple[bytes, ...]:
    """The files of a data set in the order in which they are written."""
    rng = np.random.default_rng(5)
    return tuple(encode(rng.normal(0, 0.05, round(RATE * seconds)), RATE, "PCM_16") for _ in range(6 + 3 + 4 + 10 + 4))
