"""Splits by location, so that each location is in one split only."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.scenes import SceneRecording


def hold_out_locations(
    recordings: Sequence[SceneRecording], candidates: NDArray[np.int64], *, fraction: float, seed: int
) -> NDArray[np.int64]:
    """Choose whole locations to validate on, with ``fraction`` of each scene's clips from every city.

    Within each scene, every city gives ``fraction`` of its clips as closely as its locations allow. A difference in one
    city is compensated in the next. The last location of a scene is never chosen, because the scene must be in
    training.

    Args:
        recordings: all recordings of the data set.
        candidates: indices of the recordings to choose from.
        fraction: fraction of the clips, between 0 and 1.
        seed: seed of the random numbers.

    Returns:
        The chosen indices in ascending order.
    """
    rng = np.random.default_rng(seed)
    clips: dict[str, dict[str, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for index in candidates:
        recording = recordings[index]
        clips[recording.scene_label][recording.city][recording.location].append(int(index))
    held_out: list[int] = []
    for scene in sorted(clips):
        held_out += _hold_out_of_scene(clips[scene], fraction, rng)
    return np.array(sorted(held_out), dtype=np.int64)


def _hold_out_of_scene(cities: dict[str, dict[str, list[int]]], fraction: float, rng: np.random.Generator) -> list[int]:
    left = sum(len(locations) for locations in cities.values())
    held_out: list[int] = []
    owed = 0.0
    for city in rng.permutation(sorted(cities)):
        locations = cities[city]
        owed += fraction * sum(len(clips) for clips in locations.values())
        for location in rng.permutation(sorted(locations)):
            size = len(locations[location])
            if left > 1 and abs(owed - size) < abs(owed):
                held_out += locations[location]
                owed -= size
                left -= 1
    return held_out
