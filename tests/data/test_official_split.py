"""The official validation split, against the code of dcase_util and the list that it gives."""

import hashlib
import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dcase_sweep.data.official_split import hold_out_officially
from dcase_sweep.data.scenes import SceneRecording
from dcase_sweep.data.tau import TAU
from dcase_sweep.demo.tau import DemoScenes
from dcase_sweep.utils.errors import UserError
from tests.composing import composed
from tests.data.test_splits import official_training_list
from tests.layout import read_table, write_table

#: SHA-256 of the sorted file names, joined by line feeds, that `reference` (dcase_util 0.2.20) holds out of the
#: official fold1_train.csv with an amount of 0.3 and seed 0.
OFFICIAL_LIST = "150ff9a4d53b29ce1627bd94ac6b8400c66a2fd27ddafeda7b1ff1086bc814a6"


def held_out(recordings: list[SceneRecording], *, fraction: float = 0.3, seed: int = 0) -> list[str]:
    split = hold_out_officially(recordings, np.arange(len(recordings)), fraction=fraction, seed=seed)
    return sorted(recordings[index].filename for index in split.held_out)


def shuffle_with_fractions(items: list[Any], fraction: Any) -> None:
    """``random.shuffle(items, random.random)`` of Python before 3.11, which removed the second argument."""
    for last in reversed(range(1, len(items))):
        other = int(fraction() * (last + 1))
        items[last], items[other] = items[other], items[last]


def reference(
    recordings: list[SceneRecording],
    monkeypatch: pytest.MonkeyPatch,
    *,
    fraction: float = 0.3,
    seed: int = 0,
    mode: str = "identifier_two_level_hierarchy",
) -> list[str]:
    """Return what dcase_util's ``validation_files_balanced`` holds out."""
    datasets = pytest.importorskip("dcase_util.datasets.datasets")
    from dcase_util.containers import MetaDataContainer

    generator = SimpleNamespace(seed=random.seed, random=random.random, shuffle=shuffle_with_fractions)
    monkeypatch.setattr(datasets, "random", generator)
    meta = MetaDataContainer(
        [
            {"filename": r.filename, "scene_label": r.scene_label, "identifier": r.location, "source_label": r.device}
            for r in recordings
        ]
    )
    owner = SimpleNamespace(
        scene_labels=lambda: meta.unique_scene_labels, disable_progress_bar=True, use_ascii_progress_bar=True
    )
    found = datasets.AcousticSceneDataset.validation_files_balanced(
        owner, training_meta=meta, validation_amount=fraction, seed=seed, balancing_mode=mode
    )
    return sorted(found)


def some_recordings(
    seed: int, *, cities: tuple[str, ...] = ("oslo", "rome", "new", "new york")
) -> list[SceneRecording]:
    """Create three scenes with some clips at each location and at least two locations in each city."""
    rng = random.Random(seed)
    recordings = []
    for scene in ("bus", "park", "tram"):
        for city in rng.sample(cities, rng.randint(1, len(cities))):
            for place in rng.sample(range(200), rng.randint(2, 12)):
                recordings += [
                    SceneRecording(f"{scene}-{city}-{place}-{clip}.wav", scene, city, f"{city}-{place}", "a")
                    for clip in range(rng.randint(1, 9))
                ]
    rng.shuffle(recordings)
    return recordings


def test_the_official_list_is_reproduced(shared: Path) -> None:
    recordings = official_training_list(shared)

    names = held_out(recordings)

    assert len(names) == 4_539
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == OFFICIAL_LIST
    by_name = {recording.filename: recording for recording in recordings}
    assert len({(by_name[name].scene_label, by_name[name].location) for name in names}) == 133
    pairs = {(recording.scene_label, recording.city) for recording in recordings}
    assert {(by_name[name].scene_label, by_name[name].city) for name in names} == pairs


def test_another_split_of_the_official_list_equals_that_of_dcase_util(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = official_training_list(shared)

    assert held_out(recordings, fraction=0.25, seed=7) == reference(recordings, monkeypatch, fraction=0.25, seed=7)


@pytest.mark.parametrize("seed", range(6))
def test_the_split_of_any_list_equals_that_of_dcase_util(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    recordings = some_recordings(seed)
    fraction = (0.1, 0.3, 0.45)[seed % 3]

    assert held_out(recordings, fraction=fraction, seed=seed) == reference(
        recordings, monkeypatch, fraction=fraction, seed=seed
    )


def test_without_cities_the_choice_is_among_all_locations_of_a_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = [
        SceneRecording(f"{scene}{place}-{clip}.wav", scene, f"place{place}", f"place{place}", "a")
        for scene in ("bus", "park")
        for place in range(7)
        for clip in range(1 + place)
    ]

    assert held_out(recordings) == reference(recordings, monkeypatch, mode="identifier")


def test_the_order_of_the_list_does_not_matter() -> None:
    recordings = some_recordings(1)

    assert held_out(recordings) == held_out(recordings[::-1])


def test_another_seed_gives_another_choice(shared: Path) -> None:
    recordings = official_training_list(shared)

    assert held_out(recordings, seed=0) != held_out(recordings, seed=1)


def one_place_a_city(cities: int) -> list[SceneRecording]:
    return [
        SceneRecording(f"{scene}{city}-{clip}.wav", scene, f"city{city}", f"city{city}-1", "a")
        for scene in ("bus", "park")
        for city in range(cities)
        for clip in range(3)
    ]


@pytest.mark.parametrize("fraction", [0.3, 0.99])
def test_a_scene_with_one_location_in_each_city_keeps_some_for_training(fraction: float) -> None:
    recordings = one_place_a_city(5)

    split = hold_out_officially(recordings, np.arange(len(recordings)), fraction=fraction, seed=0)

    assert split.adapted == ("bus", "park")
    for scene in ("bus", "park"):
        places = {recordings[i].location for i in split.held_out if recordings[i].scene_label == scene}
        assert len(places) == (2 if fraction == 0.3 else 4)


def test_a_scene_with_one_location_is_not_held_out() -> None:
    recordings = [*some_recordings(2), *(one_place_a_city(1)[:3])]
    recordings = [r for r in recordings if r.scene_label != "bus" or r.city == "city0"]

    split = hold_out_officially(recordings, np.arange(len(recordings)), fraction=0.3, seed=0)

    assert split.undivided == ("bus",)
    assert len(split.held_out)
    assert all(recordings[i].scene_label != "bus" for i in split.held_out)


def test_only_candidates_are_held_out() -> None:
    recordings = some_recordings(3)
    candidates = np.arange(0, len(recordings), 2)

    split = hold_out_officially(recordings, candidates, fraction=0.3, seed=0)

    assert set(split.held_out) <= set(candidates)


# --- as a setting of the data sets ------------------------------------------------------------------------------


def test_the_recipe_uses_the_official_split_and_the_demo_a_balanced_one() -> None:
    assert composed("data=tau2020", "data.root=/tau").data.validation == "official"
    assert composed().data.validation == "balanced"


def test_a_data_set_is_split_by_the_configured_rule(tau: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="dcase_sweep"):
        official = TAU(name="tiny", root=str(tau), validation="official").load()
        balanced = TAU(name="tiny", root=str(tau), validation="balanced").load()

    # Of three places a scene, two are in Paris and one is in Lyon: the official rule takes one in each city.
    assert (len(official.train), len(official.validation)) == (12, 24)
    assert (len(balanced.train), len(balanced.validation)) == (24, 12)
    assert caplog.messages == []


def test_few_locations_are_reported_in_one_line(tau: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed = read_table(tau / "evaluation_setup/fold1_train.csv")
    rows = [row for row in listed if row["filename"].split("-")[2].endswith(("0", "1"))]  # one place in each city
    write_table(tau / "evaluation_setup/fold1_train.csv", rows)

    with caplog.at_level(logging.WARNING, logger="dcase_sweep"):
        data = TAU(name="tiny", root=str(tau), validation="official").load()

    assert (len(data.train), len(data.validation)) == (12, 12)
    (line,) = caplog.messages
    assert line.startswith("data      bus, park, tram: the official rule would hold out every location")


def test_a_list_of_clips_overrides_the_rule(tau: Path) -> None:
    names = [row for row in read_table(tau / "evaluation_setup/fold1_train.csv") if "-lyon-" in row["filename"]]
    write_table(tau / "evaluation_setup/fold1_validation.csv", names)

    data = TAU(
        name="tiny",
        root=str(tau),
        validation="official",
        validation_list="evaluation_setup/fold1_validation.csv",
    ).load()

    assert {data.recordings[index].city for index in data.validation} == {"lyon"}


@pytest.mark.parametrize("kind", [TAU, DemoScenes])
def test_an_unknown_rule_is_rejected(kind: type, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data.validation=offical: expected one of official, balanced$"):
        kind(name="x", root=str(tmp_path), validation="offical")
