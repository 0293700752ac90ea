"""From posteriors to events."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from dcase_sweep.evaluation.events import Event, decode, filter_scores, psds_thresholds
from dcase_sweep.evaluation.events.decode import filter_decisions
from dcase_sweep.utils.errors import DataError
from tests.evaluation.events.event_reference import HOP, LABELS, active_runs


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def test_thresholds_are_those_of_the_recipe() -> None:
    thresholds = psds_thresholds()

    assert len(thresholds) == 50
    assert np.round(thresholds[[0, 1, -1]], 10).tolist() == [0.01, 0.03, 0.99]


def test_an_event_lasts_while_its_score_is_above_the_threshold() -> None:
    scores = {"a.wav": column(0.1, 0.6, 0.9, 0.5, 0.2, 0.7)}

    found = decode(filter_scores(scores, labels=("Dog",), hop=0.5, median_length=1), [0.5, 0.8])

    assert found.at(0).events_in("a.wav") == [Event("Dog", 0.5, 1.5), Event("Dog", 2.5, 3.0)]
    assert found.at(1).events_in("a.wav") == [Event("Dog", 1.0, 1.5)]


def test_a_score_at_the_threshold_is_not_above_it() -> None:
    scores = {"a.wav": column(0.05)}  # the nearest float32 lies above the float64 0.05

    assert not decode(filter_scores(scores, labels=("Dog",), hop=0.5), [0.05]).clip.size


@pytest.mark.parametrize("median_length", [1, 2, 5, 6, 7, 31])
def test_events_are_those_of_the_recipe_which_filters_decisions(median_length: int) -> None:
    rng = np.random.default_rng(median_length)
    scores = {f"{i}.wav": np.round(rng.random((rng.integers(16, 60), 3)), 2).astype(np.float32) for i in range(6)}
    thresholds = np.array([0.105, 0.305, 0.5, 0.705], dtype=np.float32)

    found = decode(filter_scores(scores, labels=LABELS, hop=HOP, median_length=median_length), thresholds)

    for index, threshold in enumerate(thresholds):
        for clip, values in scores.items():
            decisions = median_filter(values > threshold, (median_length, 1))
            expected = [
                Event(label, start * 4 / 62.5, stop * 4 / 62.5)  # as the recipe computes times
                for label, active in zip(LABELS, decisions.T, strict=True)
                for start, stop in active_runs(active)
            ]
            assert found.at(index).events_in(clip) == expected


@pytest.mark.parametrize("seed", range(10))
def test_events_at_one_threshold_are_those_among_several(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {f"{i}.wav": np.round(rng.random((rng.integers(1, 40), 3)), 1).astype(np.float32) for i in range(8)}
    filtered = filter_scores(scores, labels=LABELS, hop=HOP, median_length=3)

    alone, among = decode(filtered, [0.5]), decode(filtered, [0.3, 0.5]).at(1)

    for name in ("clip", "label", "onset", "offset", "first", "last"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(among, name))
    assert alone.thresholds.tolist() == among.thresholds.tolist()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 30])
@pytest.mark.parametrize("median_length", [2, 7, 31])
def test_clips_shorter_than_the_filter_are_mirrored_as_often_as_it_takes(frames: int, median_length: int) -> None:
    values = np.random.default_rng(frames).random((frames, 1))
    mirrored = np.concatenate([values[::-1], values] * 40)[:, 0]  # frame 0 is at 41 * frames
    begin = 41 * frames - median_length // 2
    medians = [sorted(mirrored[begin + i : begin + i + median_length])[median_length // 2] for i in range(frames)]

    filtered = filter_scores({"a.wav": values}, labels=("Dog",), hop=1, median_length=median_length)

    assert filtered.batches[0].values[:, 0, 0].tolist() == medians


def test_each_class_may_have_its_own_filter() -> None:
    spike = np.zeros((9, 2), dtype=np.float32)
    spike[4] = 1
    lengths = {"Dog": 1, "Frying": 5}

    found = decode(filter_scores({"a.wav": spike}, labels=("Dog", "Frying"), hop=1, median_length=lengths), [0.5])

    assert found.events_in("a.wav") == [Event("Dog", 4.0, 5.0)]


def test_no_detection_is_no_error() -> None:
    found = decode(filter_scores({"a.wav": np.zeros((4, 3)), "b.wav": np.zeros((0, 3))}, labels=LABELS, hop=1), [0.5])

    assert found.clips == ("a.wav", "b.wav")
    assert found.clip.size == 0


def test_every_wrong_clip_is_named() -> None:
    scores = {"a.wav": np.zeros((4, 2)), "b.wav": np.full((4, 3), np.nan), "c.wav": np.zeros((4, 3))}

    with pytest.raises(DataError) as error:
        filter_scores(scores, labels=LABELS, hop=1, clips=("a.wav", "b.wav", "c.wav", "d.wav"))

    assert error.value.problems == [
        "scores of a.wav: shape [4, 2]; expected [frame, 3], one column a class",
        "scores of b.wav: not finite; expected numbers (did the training diverge?)",
        "scores of d.wav: missing; expected [frame, 3]",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hop": 0}, "hop is 0"),
        ({"hop": 1, "median_length": 0}, "median_length of Cat is 0"),
        ({"hop": 1, "median_length": {"Cat": 3}}, "median_length lacks Dog, Speech"),
    ],
)
def test_parameters_out_of_range_are_rejected(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        filter_scores({"a.wav": np.zeros((4, 3))}, labels=LABELS, **arguments)


@pytest.mark.parametrize("median_length", [1, 2, 3, 6, 7, 40, {"Cat": 5, "Dog": 4, "Speech": 1}])
def test_decisions_are_those_of_filtered_scores(median_length: int | dict[str, int]) -> None:
    rng, labels = np.random.default_rng(0), ("Cat", "Dog", "Speech")
    scores = {f"{clip}.wav": rng.random((frames, 3), dtype=np.float32) for clip, frames in enumerate((156, 156, 9, 1))}
    scores["0.wav"][:20, 1] = 0.3  # at the threshold, which is not above it

    decided = filter_decisions(scores, threshold=0.3, labels=labels, hop=1, median_length=median_length)
    filtered = filter_scores(scores, labels=labels, hop=1, median_length=median_length)

    for ours, expected in zip(decided.batches, filtered.batches, strict=True):
        np.testing.assert_array_equal(ours.values, expected.values > np.float32(0.3))


@pytest.mark.parametrize("median_length", [127, 128, 255, 256, 301])
def test_decisions_of_long_windows_are_counted_to_the_end(median_length: int) -> None:
    rng = np.random.default_rng(median_length)
    scores = {"a.wav": np.repeat(rng.random((9, 1), dtype=np.float32), 130, axis=0)}

    decided = filter_decisions(scores, threshold=0.4, labels=("Dog",), hop=1, median_length=median_length)

    filtered = median_filter(scores["a.wav"][:, 0], median_length) > np.float32(0.4)
    np.testing.assert_array_equal(decided.batches[0].values[:, 0, 0], filtered)
    assert 0 < filtered.mean() < 1
