"""Counts by clip: a weighted sum equals the evaluation of the resampled clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    SCENARIOS,
    Event,
    GroundTruth,
    collar_f1,
    decode,
    filter_scores,
    ground_truth_from_events,
    psds,
    psds_thresholds,
)
from dcase_sweep.evaluation.events.clip_counts import (
    ClipCounts,
    count_clips,
    read_clip_counts,
    resample_collar_f1,
    resample_psds,
    write_clip_counts,
)
from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.utils.errors import UserError

LABELS = ["Cat", "Dog", "Speech"]
CLIPS, HOP = 12, 0.1


def make(drawn: list[int]) -> tuple[Detections, Detections, GroundTruth]:
    """Select detections and events of these clips. A clip that is drawn twice becomes two equal clips."""
    rng = np.random.default_rng(0)
    events, scores = [], []
    for _ in range(CLIPS):
        onsets = rng.uniform(0, 6, size=3)
        kept = rng.permutation(3)[: rng.integers(0, 4)]
        events.append([Event(LABELS[i], onsets[i], onsets[i] + rng.uniform(0.5, 3)) for i in kept])
        frames = 0.7 * rng.random((100, 3))
        for event in events[-1]:
            frames[int(event.onset / HOP) : int(event.offset / HOP), LABELS.index(event.label)] += 0.3
        scores.append(frames)
    names = [f"{place}.wav" for place in range(len(drawn))]
    truth = ground_truth_from_events(
        [(name, event) for name, clip in zip(names, drawn, strict=True) for event in events[clip]],
        dict.fromkeys(names, 10.0),
        labels=LABELS,
    )
    filtered = filter_scores(
        {name: scores[clip] for name, clip in zip(names, drawn, strict=True)},
        labels=LABELS,
        hop=HOP,
        median_length=3,
        clips=truth.clips,
    )
    return decode(filtered, psds_thresholds()), decode(filtered, [0.5]), truth


@pytest.fixture(scope="module")
def counts() -> ClipCounts:
    return count_clips(*make(list(range(CLIPS))), scenarios=SCENARIOS)


@pytest.mark.parametrize("average", ["all", "others"])
def test_a_weighted_sum_is_the_evaluation_of_the_resampled_set(counts: ClipCounts, average: str) -> None:
    order = [int(name.removesuffix(".wav")) for name in counts.clips]
    weights = np.random.default_rng(3).multinomial(CLIPS, np.full(CLIPS, 1 / CLIPS), size=6).astype(np.float64)
    scores = [resample_psds(counts, i, each, average)(weights) for i, each in enumerate(SCENARIOS)]  # type: ignore[arg-type]
    f1 = resample_collar_f1(counts)(weights)

    for row, weight in enumerate(weights):
        drawn = [clip for clip, times in zip(order, weight.astype(int), strict=True) for _ in range(times)]
        detections, decisions, truth = make(drawn)
        for found, scenario in zip(scores, SCENARIOS, strict=True):
            expected = psds(detections, truth, scenario, cross_trigger_average=average)  # type: ignore[arg-type]
            assert found[row] == pytest.approx(expected.value, abs=1e-9)
        assert f1[row] == pytest.approx(collar_f1(decisions, truth).macro)


def test_counts_are_read_as_they_were_written(counts: ClipCounts, tmp_path: Path) -> None:
    write_clip_counts(counts, tmp_path / "counts.npz")

    found = read_clip_counts(tmp_path / "counts.npz")

    assert np.array_equal(found.cross_triggers, counts.cross_triggers)
    assert list(found.labels) == LABELS


def test_a_file_that_holds_something_else_is_rejected_in_one_line(counts: ClipCounts, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not a file of arrays")
    write_clip_counts(replace(counts, hits=counts.hits[:3]), tmp_path / "short.npz")
    np.savez(tmp_path / "objects.npz", clips=np.array([{}], dtype=object))

    for name in ("text.npz", "short.npz", "objects.npz", "missing.npz"):
        with pytest.raises(UserError, match=rf"{name}: .*expected") as caught:
            read_clip_counts(tmp_path / name)
        assert "\n" not in str(caught.value)
