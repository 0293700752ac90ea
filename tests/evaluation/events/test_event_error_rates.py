"""Error rates, compared with sed_eval and with published figures."""

from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    Event,
    decode,
    filter_scores,
    ground_truth_from_events,
    read_detections,
    read_ground_truth,
)
from dcase_sweep.evaluation.events.error_rates import collar_error_rates, segment_error_rates
from dcase_sweep.evaluation.events.reference import sed_eval_collar, sed_eval_segment
from tests.evaluation.events.event_reference import HOP, LABELS, random_scores, random_truth


@pytest.mark.parametrize("seed", range(6))
def test_rates_are_those_of_sed_eval(seed: int) -> None:
    pytest.importorskip("sed_eval")
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    scores = filter_scores(random_scores(rng, truth), labels=LABELS, hop=HOP, clips=truth.clips)
    detections = decode(scores, [0.5])

    for ours, theirs in (
        (collar_error_rates(detections, truth), sed_eval_collar(detections, truth)),
        (segment_error_rates(detections, truth), sed_eval_segment(detections, truth)),
    ):
        overall = theirs["overall"]["error_rate"]
        assert ours.overall == pytest.approx(overall["error_rate"])
        assert ours.substitutions == pytest.approx(overall["substitution_rate"])
        assert ours.deletions == pytest.approx(overall["deletion_rate"])
        assert ours.insertions == pytest.approx(overall["insertion_rate"])
        for label, value in ours.per_class.items():
            assert value == pytest.approx(theirs["class_wise"][label]["error_rate"]["error_rate"])


def test_published_detections_have_the_published_rates(shared: Path) -> None:
    """Figures of the baseline student of 2021 in event_f1.txt and segment_f1.txt."""
    folder = shared / "data" / "sed_scores"
    truth = read_ground_truth(folder / "validation.tsv", folder / "validation_durations.tsv")
    table = folder / "dcase2021_baseline_student" / "predictions0.5.csv"
    detections = read_detections({0.5: table}, clips=truth.clips, labels=truth.labels)

    collar, segment = collar_error_rates(detections, truth), segment_error_rates(detections, truth)

    assert [
        round(value, 2) for value in (collar.overall, collar.substitutions, collar.deletions, collar.insertions)
    ] == [
        1.03,
        0.02,
        0.61,
        0.39,
    ]
    assert [
        round(value, 2) for value in (segment.overall, segment.substitutions, segment.deletions, segment.insertions)
    ] == [0.38, 0.09, 0.20, 0.09]
    assert (round(collar.macro, 2), round(segment.macro, 2)) == (1.19, 0.57)
    assert round(collar.per_class["Frying"], 2) == 1.88


def test_an_event_of_another_class_in_its_place_is_one_substitution() -> None:
    truth = ground_truth_from_events(
        [("a.wav", Event("Dog", 1.0, 2.0)), ("a.wav", Event("Cat", 5.0, 6.0))], {"a.wav": 10.0}
    )
    scores = {"a.wav": np.zeros((10, 2))}  # Cat, Dog
    scores["a.wav"][1, 0] = 1  # a cat where the dog is
    scores["a.wav"][8, 1] = 1  # a dog where nothing is
    detections = decode(filter_scores(scores, labels=["Cat", "Dog"], hop=1.0, median_length=1), [0.5])

    for rates in (collar_error_rates(detections, truth), segment_error_rates(detections, truth)):
        assert (rates.substitutions, rates.deletions, rates.insertions, rates.overall) == (0.5, 0.5, 0.5, 1.5)
        assert rates.per_class == {"Cat": 2.0, "Dog": 2.0}


def test_without_a_reference_event_there_is_no_rate() -> None:
    truth = ground_truth_from_events([], {"a.wav": 10.0}, labels=["Cat", "Dog"])
    detections = decode(filter_scores({"a.wav": np.ones((10, 2))}, labels=["Cat", "Dog"], hop=1.0), [0.5])

    rates = collar_error_rates(detections, truth)

    assert np.isnan(rates.overall)
    assert np.isnan(rates.macro)
    assert rates.per_class == {}
