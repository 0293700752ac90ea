"""Splitting by location, so that no place is both learned from and judged by."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.scenes import SceneRecording


def hold_out_locations(
    recordings: Sequence[SceneRecording], candidates: NDArray[np.int64], *, share: float, seed: int
) -> NDArray[np.int64]:
    """Indices out of ``candidates`` to validate on: whole locations, ``share`` of each scene's clips, all cities alike.

    Within each scene every city gives ``share`` of its clips as nearly as its locations allow; what one city gives
    too much or too little, the next one makes up for. A scene's last location is never taken: it would leave nothing
    to learn the scene from.
    """
    rng = np.random.default_rng(seed)
    clips: dict[str, dict[str, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for index in candidates:
        recording = recordings[index]
        clips[recording.scene_label][recording.city][recording.location].append(int(index))
    held_out: list[int] = []
    for scene in sorted(clips):
        held_out += _hold_out_of_scene(clips[scene], share, rng)
    return np.array(sorted(held_out), dtype=np.int64)


def _hold_out_of_scene(cities: dict[str, dict[str, list[int]]], share: float, rng: np.random.Generator) -> list[int]:
    left = sum(len(locations) for locations in cities.values())
    held_out: list[int] = []
    owed = 0.0
    for city in rng.permutation(sorted(cities)):
        locations = cities[city]
        owed += share * sum(len(clips) for clips in locations.values())
        for location in rng.permutation(sorted(locations)):
            size = len(locations[location])
            if left > 1 and abs(owed - size) < abs(owed):
                held_out += locations[location]
                owed -= size
                left -= 1
    return held_out
