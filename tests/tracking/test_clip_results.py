"""Results by test clip: the same clips in another order give the same resamples."""

from dataclasses import fields, replace

import numpy as np

from dcase_sweep.evaluation.events.clip_counts import ClipCounts
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.resampling import draw_statistic
from dcase_sweep.tracking.clip_results import EventClips, SceneClips


def draw_counts(clips: int) -> ClipCounts:
    """Make random counts of two classes, two scenarios and three thresholds."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(0, 3, size=shape).astype(np.int16)

    return ClipCounts(
        clips=np.array([f"{clip}.wav" for clip in range(clips)]),
        labels=np.array(["Cat", "Dog"]),
        durations=np.full(clips, 10.0),
        seconds=rng.random((clips, 2)),
        events=draw(clips, 2) + 1,
        hits=draw(clips, 2),
        detected=draw(clips, 2) + 2,
        true_positives=draw(2, clips, 2, 3),
        false_positives=draw(2, clips, 2, 3),
        cross_triggers=draw(2, clips, 2, 2, 3),
    )


def test_scenes_in_another_order_have_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    names, labels = np.array([f"{clip}.wav" for clip in range(40)]), np.array(["bus", "tram"] * 20)
    correct, losses = (rng.random(40) < 0.5).astype(np.float64), rng.random(40)
    first, second = (
        SceneClips(tuple(names[order]), tuple(labels[order]), correct[order], losses[order]).statistics()
        for order in (np.arange(40), rng.permutation(40))
    )

    assert first[0] == second[0]
    for metric in ("test/accuracy", "test/log_loss"):
        drawn = [draw_statistic(each[1][metric], 40, resamples=20) for each in (first, second)]
        np.testing.assert_allclose(*drawn, rtol=1e-12)


def test_scenes_with_other_labels_are_other_clips() -> None:
    ones = np.ones(2)
    first = SceneClips(("a.wav", "b.wav"), ("bus", "tram"), ones, ones).statistics()
    second = SceneClips(("a.wav", "b.wav"), ("tram", "bus"), ones, ones).statistics()

    assert first[0] != second[0]


def test_events_in_another_order_have_the_same_resamples() -> None:
    counts = draw_counts(12)
    order = np.random.default_rng(1).permutation(12)
    by_clip = [each.name for each in fields(ClipCounts) if each.name != "labels"]
    moved = {name: np.take(getattr(counts, name), order, axis=int(getattr(counts, name).ndim > 2)) for name in by_clip}
    first = EventClips(counts, EventRules()).statistics()
    second = EventClips(replace(counts, **moved), EventRules()).statistics()

    assert first[0] == second[0]
    for metric, statistic in first[1].items():
        drawn = [draw_statistic(each, 12, resamples=20) for each in (statistic, second[1][metric])]
        np.testing.assert_allclose(*drawn, rtol=1e-12)


def test_events_with_another_ground_truth_are_other_clips() -> None:
    counts = draw_counts(3)
    fewer = replace(counts, events=counts.events - np.eye(3, 2, dtype=np.int16))

    assert EventClips(counts, EventRules()).statistics()[0] != EventClips(fewer, EventRules()).statistics()[0]
