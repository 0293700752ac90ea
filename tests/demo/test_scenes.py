"""The generated scenes: TAU's layout, reproducible files, and continuation of an interrupted generation."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dcase_sweep.demo.devices import DEVICES
from dcase_sweep.demo.scenes import SCENES, generate_scenes, is_complete
from dcase_sweep.utils.errors import UserError

TINY = {"train_clips": 30, "test_clips": 30, "seconds": 1.0, "sample_rate": 16_000}


def read_list(root: Path, name: str) -> list[dict[str, str]]:
    with open(root / name, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small data set for the tests that only read."""
    root = tmp_path_factory.mktemp("tiny")
    generate_scenes(root, **TINY)
    return root


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default numbers of clips, each of half a second."""
    root = tmp_path_factory.mktemp("balanced")
    generate_scenes(root, seconds=0.5, sample_rate=8_000)
    return root


def test_lists_are_those_of_tau(tiny: Path) -> None:
    meta = {row["filename"]: row for row in read_list(tiny, "meta.csv")}
    train = read_list(tiny, "evaluation_setup/fold1_train.csv")
    test = read_list(tiny, "evaluation_setup/fold1_test.csv")
    evaluate = read_list(tiny, "evaluation_setup/fold1_evaluate.csv")

    assert (len(train), len(test)) == (30, 30)
    assert [row["filename"] for row in evaluate] == [row["filename"] for row in test]
    assert set(meta) == {row["filename"] for row in train + test}
    assert sorted(meta) == sorted(str(path.relative_to(tiny)) for path in (tiny / "audio").iterdir())
    for row in train + evaluate:
        assert row["scene_label"] == meta[row["filename"]]["scene_label"]
    for filename, row in meta.items():
        scene, city, location, _, device = filename.removeprefix("audio/").removesuffix(".wav").split("-")
        assert (row["scene_label"], row["identifier"]) == (scene, f"{city}-{location}")
        assert row["source_label"] == device
    assert {row["scene_label"] for row in meta.values()} == set(SCENES)


def test_default_size_balances_scenes_and_devices(balanced: Path) -> None:
    device = {row["filename"]: row["source_label"] for row in read_list(balanced, "meta.csv")}
    train = read_list(balanced, "evaluation_setup/fold1_train.csv")
    test = read_list(balanced, "evaluation_setup/fold1_evaluate.csv")

    assert Counter(device[row["filename"]] for row in train) == {
        "a": 200,
        "b": 20,
        "c": 20,
        "s1": 20,
        "s2": 20,
        "s3": 20,
    }
    in_test = Counter((row["scene_label"], device[row["filename"]]) for row in test)
    assert in_test == dict.fromkeys(((scene, d) for scene in SCENES for d in sorted(DEVICES)), 2)


def test_no_location_is_in_both_splits(balanced: Path) -> None:
    place = {row["filename"]: row["identifier"] for row in read_list(balanced, "meta.csv")}
    train = {place[row["filename"]] for row in read_list(balanced, "evaluation_setup/fold1_train.csv")}
    test = {place[row["filename"]] for row in read_list(balanced, "evaluation_setup/fold1_test.csv")}

    assert (len(train), len(test)) == (100, 60)
    assert not train & test
    assert {name.split("-")[0] for name in test} - {name.split("-")[0] for name in train} == {"milan"}


def test_recordings_are_heard_and_not_clipped(tiny: Path) -> None:
    for row in read_list(tiny, "meta.csv"):
        clip, rate = soundfile.read(tiny / row["filename"])
        assert (clip.shape, rate) == ((16_000,), 16_000)
        assert np.sqrt(np.mean(clip**2)) > 0.001, row["filename"]
        assert np.abs(clip).max() < 0.99, row["filename"]


def test_default_format_is_that_of_tau(tmp_path: Path) -> None:
    generate_scenes(tmp_path, train_clips=10, test_clips=10)

    for path in (tmp_path / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (441_000, 44_100, 1, "PCM_24")


def test_the_bytes_depend_on_the_seed_and_not_on_the_workers(tiny: Path, tmp_path: Path) -> None:
    generate_scenes(tmp_path / "again", **TINY, workers=1)
    generate_scenes(tmp_path / "other", **TINY, seed=7)

    assert contents(tmp_path / "again") == contents(tiny)
    names = [row["filename"] for row in read_list(tiny, "meta.csv")]
    assert all((tmp_path / "other" / name).read_bytes() != (tiny / name).read_bytes() for name in names)


def test_devices_record_the_same_segment_differently(tiny: Path) -> None:
    by_segment: dict[str, list[np.ndarray]] = {}
    for row in read_list(tiny, "evaluation_setup/fold1_test.csv"):
        clip, _ = soundfile.read(tiny / row["filename"])
        by_segment.setdefault(row["filename"].rsplit("-", 1)[0], []).append(clip)

    for clips in by_segment.values():
        likeness = np.corrcoef(clips)[np.triu_indices(3, 1)]
        assert ((likeness > 0.3) & (likeness < 0.999)).all()


def test_generation_cut_short_is_continued(tiny: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_scenes(tmp_path, **TINY, on_progress=stop)
    assert not is_complete(tmp_path, **TINY)
    assert not (tmp_path / "meta.csv").exists()
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "audio").iterdir()}
    generate_scenes(tmp_path, **TINY)

    assert 20 <= len(first) < 60
    assert all(path.stat().st_mtime_ns == time for path, time in first.items())
    assert contents(tmp_path) == contents(tiny)
    assert is_complete(tmp_path, **TINY)


def test_a_truncated_recording_is_generated_again(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    assert is_complete(tmp_path, **TINY)
    victim = next((tmp_path / "audio").iterdir())
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-3])

    assert not is_complete(tmp_path, **TINY)
    generate_scenes(tmp_path, **TINY)
    assert victim.read_bytes() == whole


def test_missing_and_damaged_files_are_generated_again(tiny: Path, tmp_path: Path) -> None:
    generate_scenes(tmp_path, **TINY)
    lost, damaged, kept, *_ = sorted((tmp_path / "audio").iterdir())
    lost.unlink()
    assert not is_complete(tmp_path, **TINY)
    damaged.write_bytes(damaged.read_bytes()[:1000])
    (tmp_path / "generator.json").unlink()
    os.utime(kept, (1, 1))
    generate_scenes(tmp_path, **TINY)

    assert contents(tmp_path) == contents(tiny)
    assert kept.stat().st_mtime == 1


def test_other_parameters_replace_the_recordings(tiny: Path, tmp_path: Path) -> None:
    generate_scenes(tmp_path, **TINY | {"seed": 7, "train_clips": 40})
    (tmp_path / "audio" / "notes.txt").write_text("mine")
    assert not is_complete(tmp_path, **TINY)
    generate_scenes(tmp_path, **TINY)

    assert contents(tmp_path) == contents(tiny) | {"audio/notes.txt": b"mine"}


def test_progress_counts_clips(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate_scenes(tmp_path, **TINY, on_progress=lambda done, total: seen.append((done, total)))

    assert seen == sorted(seen)
    assert seen[-1] == (60, 60)


def test_another_data_set_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("filename\tscene_label\tidentifier\tsource_label\n")

    with pytest.raises(UserError, match="were not generated"):
        generate_scenes(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["meta.csv"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"train_clips": 9}, "train_clips is 9; expected at least 10"),
        ({"seed": -1}, "seed is -1"),
        ({"seconds": 0.1}, "seconds is 0.1"),
        ({"sample_rate": 4_000}, "sample_rate is 4000"),
    ],
)
def test_impossible_parameters_are_rejected_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        generate_scenes(tmp_path, **TINY | wrong)
    assert not list(tmp_path.iterdir())
