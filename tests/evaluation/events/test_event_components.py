"""The component tree, compared with thresholding at every threshold."""

import numpy as np
import pytest

from dcase_sweep.evaluation.events.components import find_components, find_runs
from tests.evaluation.events.event_reference import active_runs


@pytest.mark.parametrize("seed", range(20))
def test_segments_are_active_exactly_where_thresholding_finds_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 6, size=(rng.integers(1, 16), 5))

    found = find_components(levels)

    for threshold in range(7):
        for track in range(5):
            here = (found.track == track) & (found.low <= threshold) & (threshold < found.high)
            segments = sorted(zip(found.start[here].tolist(), found.stop[here].tolist(), strict=True))
            assert segments == active_runs(levels[:, track] > threshold)


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_the_active_segments_of_each_track(seed: int) -> None:
    active = np.random.default_rng(seed).random((seed, 7)) < 0.6

    found = find_runs(active)

    segments = list(zip(found.track.tolist(), found.start.tolist(), found.stop.tolist(), strict=True))
    assert segments == [(track, *run) for track in range(7) for run in sorted(active_runs(active[:, track]))]


def test_a_parent_takes_over_where_its_children_end() -> None:
    # Two peaks that merge below 2, in a valley that ends below 1.
    found = find_components(np.array([[1], [3], [2], [4], [1]]))

    segments = {
        (start, stop): (low, high)
        for start, stop, low, high in zip(found.start, found.stop, found.low, found.high, strict=True)
    }
    assert segments == {(0, 5): (0, 1), (1, 4): (1, 2), (1, 2): (2, 3), (3, 4): (2, 4)}
    for child in np.flatnonzero(found.parent >= 0):
        assert found.high[found.parent[child]] == found.low[child]
    assert (found.parent == -1).sum() == 1


def test_scores_need_no_levels() -> None:
    found = find_components(np.array([[0.0], [0.25], [0.25]], dtype=np.float32))

    assert found.low.tolist() == [-np.inf, 0.0]
    assert found.high.tolist() == [0.0, 0.25]
    assert list(zip(found.start, found.stop, strict=True)) == [(0, 3), (1, 3)]
