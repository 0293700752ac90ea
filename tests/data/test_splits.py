"""The balanced validation split: whole locations, a fraction of each scene from every city."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from dcase_sweep.data.scenes import SceneRecording
from dcase_sweep.data.splits import hold_out_locations


def official_training_list(shared: Path) -> list[SceneRecording]:
    with (shared / "data/tau2020/fold1_train.csv").open(newline="") as handle:
        names = [row["filename"] for row in csv.DictReader(handle, delimiter="\t")]
    parts = [Path(name).stem.rsplit("-", 4) for name in names]
    return [
        SceneRecording(name, scene, city, f"{city}-{location}", device)
        for name, (scene, city, location, _, device) in zip(names, parts, strict=True)
    ]


def test_the_official_training_list(shared: Path) -> None:
    recordings = official_training_list(shared)

    held_out = hold_out_locations(recordings, np.arange(len(recordings)), fraction=0.3, seed=0)

    places = {(recordings[i].scene_label, recordings[i].location) for i in held_out}
    learned = set(range(len(recordings))) - set(held_out.tolist())
    assert not places & {(recordings[i].scene_label, recordings[i].location) for i in learned}
    assert 0.27 < len(held_out) / 13_965 < 0.33
    of_scene = Counter(recordings[i].scene_label for i in held_out)
    all_of_scene = Counter(recording.scene_label for recording in recordings)
    assert all(0.25 < of_scene[scene] / count < 0.35 for scene, count in all_of_scene.items())
    of_city = Counter(recordings[i].city for i in held_out)
    all_of_city = Counter(recording.city for recording in recordings)
    assert all(0.15 < of_city[city] / count < 0.45 for city, count in all_of_city.items())


def test_the_same_seed_gives_the_same_split_and_another_one_another(shared: Path) -> None:
    recordings = official_training_list(shared)
    rows = np.arange(len(recordings))

    first, again, other = (hold_out_locations(recordings, rows, fraction=0.3, seed=seed) for seed in (0, 0, 1))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_scene_keeps_a_location_for_training() -> None:
    recordings = [SceneRecording(f"{n}.wav", "bus", "paris", f"paris-{n // 2}", "a") for n in range(4)]

    held_out = hold_out_locations(recordings, np.arange(4), fraction=0.9, seed=0)

    assert len(held_out) == 2
    assert recordings[held_out[0]].location == recordings[held_out[1]].location
