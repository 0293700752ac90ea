"""The validation split of the task 1A baseline system: the balanced choice of locations of dcase_util."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.scenes import SceneRecording

#: Number of random choices that are compared for each scene.
DRAWS = 100

#: Rows of each location, of each city.
_Cities = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class OfficialSplit:
    """The result of the official rule.

    Attributes:
        held_out: indices of the recordings to validate on, in ascending order.
        adapted: scenes for which the rule would leave no location to train on, so that it was applied to all of their
            locations together.
        undivided: scenes with a single location, which stays in training.
    """

    held_out: NDArray[np.int64]
    adapted: tuple[str, ...] = ()
    undivided: tuple[str, ...] = ()


def hold_out_officially(
    recordings: Sequence[SceneRecording], candidates: NDArray[np.int64], *, fraction: float, seed: int
) -> OfficialSplit:
    """Hold out whole locations as the task 1A baseline system does.

    The rule is that of dcase_util's ``validation_files_balanced``: in each city of each scene, ``fraction`` of the
    locations, rounded up, are chosen at random. Of 100 such choices for a scene, the first that comes closest to
    ``fraction`` of its clips is used. If identifiers name no city (``location`` equals ``city`` for every recording),
    the choice is made among all locations of a scene, as in dcase_util's ``identifier`` mode.

    The same seed gives the same locations as dcase_util gives on Python before 3.11: random numbers come from
    Python's generator; scenes, cities and locations are processed in alphabetical order; and locations are shuffled
    with one random number in [0, 1) for each exchange.

    Args:
        recordings: all recordings of the data set.
        candidates: indices of the recordings to choose from.
        fraction: fraction of the locations, between 0 and 1.
        seed: seed of the random numbers.
    """
    rng = random.Random(seed)
    scenes = _group(recordings, candidates)
    names_cities = any(recordings[index].city != recordings[index].location for index in candidates)
    held_out: list[int] = []
    adapted, undivided = [], []
    for scene, cities in scenes.items():
        together = {"": {place: rows for city in cities.values() for place, rows in city.items()}}
        count = len(together[""])
        chosen = _best_of_draws(cities if names_cities else together, fraction, rng)
        if len(chosen) == count:  # no location of the scene would be left for training
            if count == 1:
                undivided.append(scene)
                continue
            adapted.append(scene)
            chosen = _best_of_draws(together, fraction, random.Random(seed), most=count - 1)
        held_out += [row for place in chosen for row in together[""][place]]
    return OfficialSplit(np.array(sorted(held_out), dtype=np.int64), tuple(adapted), tuple(undivided))


def _group(
    recordings: Sequence[SceneRecording], candidates: NDArray[np.int64]
) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Group the indices by scene, city and location; scenes and locations are in alphabetical order."""
    scenes: dict[str, dict[str, dict[str, list[int]]]] = {}
    ordered = sorted((recordings[index].scene_label, recordings[index].location, int(index)) for index in candidates)
    for scene, location, index in ordered:
        city = scenes.setdefault(scene, {}).setdefault(recordings[index].city, {})
        city.setdefault(location, []).append(index)
    return scenes


def _best_of_draws(cities: _Cities, fraction: float, rng: random.Random, most: int | None = None) -> list[str]:
    """Return the locations of the first choice whose fraction of a scene's clips is nearest to ``fraction``.

    Args:
        cities: the locations of each city.
        fraction: fraction of the locations to choose.
        rng: the random numbers.
        most: the largest number of locations of a city; None for no limit.
    """
    sizes = {place: len(rows) for city in cities.values() for place, rows in city.items()}
    total = sum(sizes.values())
    best: list[str] = []
    smallest = math.inf
    for _ in range(DRAWS):
        chosen: list[str] = []
        for city in cities.values():
            chosen += _shuffle(list(city), rng)[: math.ceil(fraction * len(city))][:most]
        distance = abs(sum(sizes[place] for place in chosen) / total - fraction)
        if distance < smallest:
            best, smallest = chosen, distance
    return best


def _shuffle(places: list[str], rng: random.Random) -> list[str]:
    """Shuffle in place with one random number in [0, 1) for each exchange.

    Python's own ``shuffle`` draws integers, which gives a different order for the same seed.
    """
    for last in range(len(places) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        places[last], places[other] = places[other], places[last]
    return places
