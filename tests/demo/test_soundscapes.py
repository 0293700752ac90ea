"""The generated soundscapes: DESED's layout, reproducible files, and continuation of an interrupted generation."""

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dcase_sweep.data.desed import DESED
from dcase_sweep.data.events import DESED_CLASSES, EventClip, EventData
from dcase_sweep.demo.desed import DemoSoundscapes
from dcase_sweep.demo.rendering import Grid
from dcase_sweep.demo.sounds import EVENT_SECONDS, SOUNDS
from dcase_sweep.demo.soundscapes import generate_soundscapes, is_complete
from dcase_sweep.utils.errors import UserError

TINY: dict[str, Any] = {
    "strong_clips": 8,
    "weak_clips": 6,
    "unlabeled_clips": 4,
    "synthetic_validation_clips": 3,
    "validation_clips": 5,
    "seconds": 2.0,
    "sample_rate": 8_000,
}
CLIPS = 26


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def audio(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.wav"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small data set for the tests that only read."""
    root = tmp_path_factory.mktemp("tiny")
    generate_soundscapes(root, **TINY)
    return root


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> EventData:
    """The default data set."""
    dataset = DemoSoundscapes(name="demo", root=str(tmp_path_factory.mktemp("demo")))
    dataset.prepare(lambda done, total: None)
    return dataset.load()


def test_the_default_data_set(demo: EventData) -> None:
    assert demo.is_synthetic
    assert demo.classes == DESED_CLASSES
    sizes = [len(split) for split in (demo.strong, demo.weak, demo.unlabeled, demo.weak_validation)]
    assert sizes == [60, 36, 80, 4]
    assert (len(demo.synthetic_validation), len(demo.test)) == (20, 40)
    assert all(part.is_complete for part in demo.coverage)
    info = soundfile.info(demo.root / demo.filenames[0])
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (160_000, 16_000, 1, "PCM_16")
    assert "Nothing in this folder was recorded" in (demo.root / "README.txt").read_text()


def test_every_class_is_in_training_and_validation(demo: EventData) -> None:
    for split in (demo.strong, demo.weak, demo.test):
        heard = Counter(label for index in split for label in demo.clips[index].labels)
        assert set(heard) == set(DESED_CLASSES)


def test_soundscapes_have_one_to_five_events(demo: EventData) -> None:
    clips = [demo.clips[index] for index in np.concatenate([demo.strong, demo.synthetic_validation, demo.test])]

    assert {len(clip.events) for clip in clips} == {1, 2, 3, 4, 5}
    for clip in clips:
        for event in clip.events:
            assert 0 <= event.onset < event.offset <= 10
            assert event.offset - event.onset >= 0.25


def level(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12))


def contrast(demo: EventData, clip: EventClip) -> float:
    """Return the level during the only event of a clip relative to the rest, in dB."""
    samples, rate = soundfile.read(demo.root / clip.filename)
    (event,) = clip.events
    begin, end = round(event.onset * rate), round(event.offset * rate)
    return level(samples[begin:end]) - level(np.delete(samples, slice(begin, end)))


def test_labels_are_at_the_times_of_the_sounds(demo: EventData) -> None:
    of_one = [clip for clip in demo.clips if len(clip.events) == 1 and clip.events[0].offset < 9]

    contrasts = [contrast(demo, clip) for clip in of_one]

    assert len(contrasts) > 10
    assert min(contrasts) > 3
    assert 10 < np.mean(contrasts) < 26


def test_classes_differ_in_their_spectra() -> None:
    """The nearest mean spectrum names most sounds, so that a network has something to learn and not all of it."""
    spectra = {}
    for label, sound in SOUNDS.items():
        samples = round(min(2.0, EVENT_SECONDS[label][1]) * 16_000)
        waves = [sound(Grid(samples, 16_000), np.random.default_rng((seed, 3))) for seed in range(12)]
        powers = [np.abs(np.fft.rfft(wave, 32_000)[1:]) ** 2 for wave in waves]
        bands = [[part.mean() for part in np.array_split(power, 40)] for power in powers]
        spectra[label] = np.log(np.array(bands) / np.sum(bands, axis=1, keepdims=True) + 1e-9)
    means = np.array([spectra[label][:6].mean(axis=0) for label in SOUNDS])

    right = [
        int(np.argmin(np.linalg.norm(means - unheard, axis=1)) == index)
        for index, label in enumerate(SOUNDS)
        for unheard in spectra[label][6:]
    ]

    assert 0.6 < np.mean(right) < 1


@pytest.mark.parametrize("label", list(SOUNDS))
def test_a_sound_fills_its_event_from_the_beginning(label: str) -> None:
    for number, seconds in enumerate((0.25, *EVENT_SECONDS[label])):
        grid = Grid(round(seconds * 16_000), 16_000)
        wave = SOUNDS[label](grid, np.random.default_rng(number))

        assert wave.shape == (grid.samples,)
        assert np.isfinite(wave).all()
        assert level(wave[: grid.samples // 3]) > level(wave) - 20


def test_tables_are_those_of_desed(tiny: Path) -> None:
    tables = {path.relative_to(tiny / "metadata").as_posix(): path.read_text() for path in tiny.rglob("*.tsv")}

    assert {name: text.splitlines()[0].split("\t") for name, text in tables.items()} == {
        "train/synthetic21_train/soundscapes.tsv": ["filename", "onset", "offset", "event_label"],
        "train/weak.tsv": ["filename", "event_labels"],
        "train/unlabel_in_domain.tsv": ["filename"],
        "validation/synthetic21_validation/soundscapes.tsv": ["filename", "onset", "offset", "event_label"],
        "validation/synthetic21_validation/durations.tsv": ["filename", "duration"],
        "validation/validation.tsv": ["filename", "onset", "offset", "event_label"],
        "validation/validation_durations.tsv": ["filename", "duration"],
    }
    assert len(DESED(name="tiny", root=str(tiny)).load().clips) == CLIPS == len(audio(tiny))


def test_the_bytes_depend_on_the_seed_and_not_on_the_workers(tiny: Path, tmp_path: Path) -> None:
    generate_soundscapes(tmp_path / "again", **TINY, workers=1)
    generate_soundscapes(tmp_path / "other", **TINY, seed=7)

    assert contents(tmp_path / "again") == contents(tiny)
    for path in audio(tiny):
        assert (tmp_path / "other" / path.relative_to(tiny)).read_bytes() != path.read_bytes()


def test_generation_cut_short_is_continued(tiny: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_soundscapes(tmp_path, **TINY, workers=2, on_progress=stop)
    assert not is_complete(tmp_path, **TINY)
    first = {path: path.stat().st_mtime_ns for path in audio(tmp_path)}
    generate_soundscapes(tmp_path, **TINY)

    assert 8 <= len(first) < CLIPS
    assert all(path.stat().st_mtime_ns == time for path, time in first.items())
    assert contents(tmp_path) == contents(tiny)
    assert is_complete(tmp_path, **TINY)


def test_a_truncated_file_is_detected(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    assert is_complete(tmp_path, **TINY)
    damaged = audio(tmp_path)[0]

    damaged.write_bytes(damaged.read_bytes()[:-100])

    assert not is_complete(tmp_path, **TINY)


def test_missing_and_damaged_files_are_generated_again(tiny: Path, tmp_path: Path) -> None:
    generate_soundscapes(tmp_path, **TINY)
    lost, damaged, kept, *_ = audio(tmp_path)
    lost.unlink()
    assert not is_complete(tmp_path, **TINY)
    damaged.write_bytes(damaged.read_bytes()[:1000])
    (tmp_path / "generator.json").unlink()
    os.utime(kept, (1, 1))
    generate_soundscapes(tmp_path, **TINY)

    assert contents(tmp_path) == contents(tiny)
    assert kept.stat().st_mtime == 1


def test_other_parameters_replace_the_recordings(tiny: Path, tmp_path: Path) -> None:
    generate_soundscapes(tmp_path, **TINY | {"seed": 7, "weak_clips": 9})
    (tmp_path / "audio/train/weak/notes.txt").write_text("mine")
    assert not is_complete(tmp_path, **TINY)
    generate_soundscapes(tmp_path, **TINY)

    assert contents(tmp_path) == contents(tiny) | {"audio/train/weak/notes.txt": b"mine"}


def test_progress_counts_clips(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate_soundscapes(tmp_path, **TINY, on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(done, CLIPS) for done in range(1, CLIPS + 1)]


def test_another_data_set_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()

    with pytest.raises(UserError, match="were not generated"):
        generate_soundscapes(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["metadata"]


def test_existing_recordings_are_not_generated_again(tmp_path: Path) -> None:
    sizes = {name: clips for name, clips in TINY.items() if name.endswith("_clips")}
    dataset = DemoSoundscapes(name="demo", root=str(tmp_path), validation_fraction=0.5, **sizes)
    dataset.prepare(lambda done, total: None)
    seen: list[int] = []

    dataset.prepare(lambda done, total: seen.append(done))

    assert seen == []
    assert len(dataset.load().weak_validation) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weak_clips": 0}, "weak_clips is 0; expected at least 1"),
        ({"seed": -1}, "seed is -1"),
        ({"seconds": 0.5}, "seconds is 0.5"),
        ({"sample_rate": 4_000}, "sample_rate is 4000"),
    ],
)
def test_impossible_parameters_are_rejected_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        generate_soundscapes(tmp_path, **TINY | wrong)
    assert not list(tmp_path.iterdir())
