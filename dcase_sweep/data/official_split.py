"""The validation split of the task 1A baseline system: dcase_util's balanced choice of locations."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.scenes import SceneRecording

#: How many random choices are compared for each scene.
DRAWS = 100

#: Rows of each location, of each city.
_Cities = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class OfficialSplit:
    """What the official rule holds out.

    Attributes:
        held_out: indices of the recordings to validate on, in ascending order.
        adapted: scenes of which the rule would have left no location to train on, so that it was applied to all of
            their locations together.
        undivided: scenes with a single location, which are not validated on.
    """

    held_out: NDArray[np.int64]
    adapted: tuple[str, ...] = ()
    undivided: tuple[str, ...] = ()


def hold_out_officially(
    recordings: Sequence[SceneRecording], candidates: NDArray[np.int64], *, share: float, seed: int
) -> OfficialSplit:
    """Hold out whole locations as the task 1A baseline system does.

    The rule is that of dcase_util's ``validation_files_balanced``: in each city of each scene, ``share`` of the
    locations, rounded up, are chosen at random. Of 100 such choices for a scene, the one that comes closest to
    ``share`` of its clips is taken, the first of equals. Where identifiers name no city (``location`` equals ``city``
    for every recording), the locations of a scene are chosen from together, as dcase_util's ``identifier`` mode does.

    The same seed gives the same locations as dcase_util gives on Python before 3.11: random numbers come from
    Python's generator, scenes, cities and locations are taken in alphabetical order, and locations are shuffled by
    one random fraction per exchange.

    Args:
        recordings: every recording of the data set.
        candidates: indices of the recordings to choose from.
        share: of the locations, between 0 and 1.
        seed: of the random numbers.
    """
    rng = random.Random(seed)
    scenes = _grouped(recordings, candidates)
    names_cities = any(recordings[index].city != recordings[index].location for index in candidates)
    held_out: list[int] = []
    adapted, undivided = [], []
    for scene, cities in scenes.items():
        together = {"": {place: rows for city in cities.values() for place, rows in city.items()}}
        count = len(together[""])
        chosen = _best_of_draws(cities if names_cities else together, share, rng)
        if len(chosen) == count:  # nothing would be left to learn the scene from
            if count == 1:
                undivided.append(scene)
                continue
            adapted.append(scene)
            chosen = _best_of_draws(together, share, random.Random(seed), most=count - 1)
        held_out += [row for place in chosen for row in together[""][place]]
    return OfficialSplit(np.array(sorted(held_out), dtype=np.int64), tuple(adapted), tuple(undivided))


def _grouped(
    recordings: Sequence[SceneRecording], candidates: NDArray[np.int64]
) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Indices by scene, city and location, each in alphabetical order of scenes and of locations."""
    scenes: dict[str, dict[str, dict[str, list[int]]]] = {}
    ordered = sorted((recordings[index].scene_label, recordings[index].location, int(index)) for index in candidates)
    for scene, location, index in ordered:
        city = scenes.setdefault(scene, {}).setdefault(recordings[index].city, {})
        city.setdefault(location, []).append(index)
    return scenes


def _best_of_draws(cities: _Cities, share: float, rng: random.Random, most: int | None = None) -> list[str]:
    """The locations of the choice whose fraction of a scene's clips is nearest to ``share``, the first of equals.

    Args:
        most: locations of a city that may be chosen; None = all of them.
    """
    sizes = {place: len(rows) for city in cities.values() for place, rows in city.items()}
    total = sum(sizes.values())
    best: list[str] = []
    smallest = math.inf
    for _ in range(DRAWS):
        chosen: list[str] = []
        for city in cities.values():
            chosen += _shuffled(list(city), rng)[: math.ceil(share * len(city))][:most]
        distance = abs(sum(sizes[place] for place in chosen) / total - share)
        if distance < smallest:
            best, smallest = chosen, distance
    return best


def _shuffled(places: list[str], rng: random.Random) -> list[str]:
    """Shuffle in place with one random fraction per exchange.

    Python's own ``shuffle`` draws integers instead, which gives another order for the same seed.
    """
    for last in range(len(places) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        places[last], places[other] = places[other], places[last]
    return places
