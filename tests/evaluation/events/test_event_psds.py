"""PSDS from operating points, compared with published figures, psds_eval and the definition."""

from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    SCENARIO_1,
    SCENARIO_2,
    SCENARIOS,
    CrossTriggerAverage,
    Detections,
    Event,
    GroundTruth,
    PsdsParameters,
    count_intersections,
    decode,
    filter_scores,
    find_threshold_tables,
    ground_truth_from_events,
    psds,
    read_detections,
    read_ground_truth,
)
from dcase_sweep.evaluation.events.reference import psds_eval_psds
from tests.evaluation.events.event_reference import HOP, LABELS, events_above, random_scores, random_truth, rates, score

#: Small cases have more errors an hour than real systems: judge them up to where they are.
WIDE = PsdsParameters("wide", dtc=0.5, gtc=0.5, cttc=0.3, alpha_ct=0.5, alpha_st=1.0, max_efpr=8000.0)
THRESHOLDS = (0.15, 0.3, 0.5, 0.55, 0.9)


@pytest.fixture(scope="module")
def validation(shared: Path) -> GroundTruth:
    folder = shared / "data" / "sed_scores"
    return read_ground_truth(folder / "validation.tsv", folder / "validation_durations.tsv")


def published(shared: Path, system: str, truth: GroundTruth) -> Detections:
    folder = shared / "data" / "sed_scores" / system / "operating_points"
    return read_detections(find_threshold_tables(folder), clips=truth.clips, labels=truth.labels)


def random_detections(rng: np.random.Generator, truth: GroundTruth) -> Detections:
    scores = filter_scores(
        random_scores(rng, truth), labels=LABELS, hop=HOP, median_length=int(rng.integers(1, 5)), clips=truth.clips
    )
    return decode(scores, THRESHOLDS)


def test_published_figures_of_the_2021_baseline(shared: Path, validation: GroundTruth) -> None:
    found = published(shared, "dcase2021_baseline_student", validation)

    assert psds(found, validation, SCENARIO_1).value == pytest.approx(0.334, abs=5e-4)
    assert psds(found, validation, SCENARIO_2, cross_trigger_average="all").value == pytest.approx(0.533, abs=5e-4)
    assert psds(found, validation, SCENARIO_2, cross_trigger_average="others").value == pytest.approx(0.5281, abs=5e-5)


def test_published_figures_of_fdy_crnn(shared: Path, validation: GroundTruth) -> None:
    found = published(shared, "fdy_crnn_student", validation)

    # .447 and .667 were published for a ground truth with a few more events; psds_eval too gives .4464 for this one.
    assert psds(found, validation, SCENARIO_1).value == pytest.approx(0.447, abs=1e-3)
    assert psds(found, validation, SCENARIO_2, cross_trigger_average="all").value == pytest.approx(0.667, abs=5e-4)


def test_reference_agrees_on_published_detections(shared: Path, validation: GroundTruth) -> None:
    pytest.importorskip("psds_eval")
    found = published(shared, "dcase2021_baseline_student", validation)

    expected, _ = psds_eval_psds(found, validation, SCENARIO_2)

    assert psds(found, validation, SCENARIO_2).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("average", ["others", "all"])
def test_reference_agrees_on_either_average(average: CrossTriggerAverage) -> None:
    pytest.importorskip("psds_eval")
    rng = np.random.default_rng(11)
    truth = random_truth(rng)
    found = random_detections(rng, truth)

    expected, _ = psds_eval_psds(found, truth, WIDE, cross_trigger_average=average)

    assert psds(found, truth, WIDE, cross_trigger_average=average).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("parameters", [*SCENARIOS, WIDE], ids=lambda p: p.name)
@pytest.mark.parametrize("seed", range(4))
def test_reference_agrees_on_random_cases(seed: int, parameters: PsdsParameters) -> None:
    pytest.importorskip("psds_eval")
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, touching=seed % 2 == 1)
    found = random_detections(rng, truth)

    expected, curves = psds_eval_psds(found, truth, parameters)

    result = psds(found, truth, parameters)
    assert result.value == pytest.approx(expected, abs=1e-12)
    for label, levels in zip(result.labels, result.roc.class_tpr, strict=True):
        points, expected_levels = curves[label]
        # Just after each step: the two sides may place it 1e-13 apart.
        ours = levels[np.searchsorted(result.roc.effective_fpr, points + 1e-6, side="right") - 1]
        counted = points <= parameters.max_efpr
        assert ours[counted] == pytest.approx(expected_levels[counted], abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_definition_agrees_on_random_cases(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    truth = random_truth(rng, touching=True)
    filtered = filter_scores(random_scores(rng, truth), labels=LABELS, hop=HOP, median_length=3, clips=truth.clips)
    clips = {int(clip): batch.values[:, i] for batch in filtered.batches for i, clip in enumerate(batch.clip)}
    points = []
    for threshold in np.float32(THRESHOLDS):
        found = {truth.clips[clip]: events_above(values, threshold, LABELS) for clip, values in clips.items()}
        points.append(list(rates(truth, found, WIDE, all_in_world=False)))

    assert psds(decode(filtered, THRESHOLDS), truth, WIDE).value == pytest.approx(score(points, WIDE), abs=1e-9)


def test_a_criterion_that_is_met_exactly_is_met_as_in_the_reference() -> None:
    pytest.importorskip("psds_eval")
    # .25 + .1 + .15 of the detection: .49999999999999994 added up plainly, .5 as pandas adds up.
    parts = [("a.wav", Event("Dog", *times)) for times in ((0.384, 1.024), (1.408, 1.664), (1.92, 2.304))]
    truth = ground_truth_from_events([*parts, ("b.wav", Event("Cat", 1.0, 2.0))], {"a.wav": 2.56, "b.wav": 2.56})
    scores = {clip: np.zeros((40, 2), dtype=np.float32) for clip in truth.clips}
    scores["a.wav"][:, 1] = 1
    found = decode(filter_scores(scores, labels=truth.labels, hop=HOP, median_length=1, clips=truth.clips), [0.5])

    result = psds(found, truth, WIDE)

    assert count_intersections(found, truth, dtc=0.5, gtc=0.5).false_positives.sum() == 0
    assert result.per_class == (0, 1)
    assert result.value == pytest.approx(psds_eval_psds(found, truth, WIDE)[0], abs=1e-12)


def test_a_class_alone_scores_the_area_under_its_own_curve() -> None:
    truth = ground_truth_from_events(
        [("a.wav", Event("Dog", 1.0, 2.0)), ("b.wav", Event("Dog", 1.0, 2.0))], {"a.wav": 1800.0, "b.wav": 1800.0}
    )
    # Above 0.5 one of two events is found; above 0.3 both, and 25 false alarms in the hour.
    scores = {clip: np.zeros((1800, 1), dtype=np.float32) for clip in truth.clips}
    scores["a.wav"][1] = 0.6
    scores["b.wav"][1] = 0.4
    scores["b.wav"][10:60:2] = 0.4
    filtered = filter_scores(scores, labels=truth.labels, hop=1.0, median_length=1, clips=truth.clips)

    result = psds(decode(filtered, [0.3, 0.5]), truth, SCENARIO_2)

    assert result.value == pytest.approx(0.25 * 0.5 + 0.75 * 1.0)
    assert result.per_class == (result.value,)


def test_detections_of_a_class_without_a_reference_are_left_out() -> None:
    pytest.importorskip("psds_eval")
    rng = np.random.default_rng(0)
    truth = random_truth(rng)
    found = random_detections(rng, truth)
    without_dogs = ground_truth_from_events(
        [(clip, event) for clip in truth.clips for event in truth.events_in(clip) if event.label != "Dog"],
        dict(zip(truth.clips, truth.durations, strict=True)),
        labels=LABELS,
    )

    result = psds(found, without_dogs, WIDE)

    assert result.labels == ("Cat", "Speech")
    assert result.value == pytest.approx(psds_eval_psds(found, without_dogs, WIDE)[0], abs=1e-12)


def test_no_detection_scores_zero() -> None:
    truth = random_truth(np.random.default_rng(0))
    silence = {clip: np.zeros((50, 3), dtype=np.float32) for clip in truth.clips}

    found = decode(filter_scores(silence, labels=LABELS, hop=HOP, clips=truth.clips), THRESHOLDS)

    assert psds(found, truth, SCENARIO_1).value == 0
    assert psds(found, truth, SCENARIO_1).per_class == (0, 0, 0)


def test_the_rule_is_reported_with_the_figure() -> None:
    truth = random_truth(np.random.default_rng(0))
    found = random_detections(np.random.default_rng(0), truth)

    assert psds(found, truth, SCENARIO_2, cross_trigger_average="all").rule == (
        "5 thresholds (the recipe takes 50); dtc 0.1, gtc 0.1, alpha_st 1, max eFPR 100/h, cttc 0.3, "
        "alpha_ct 0.5 averaged over N (psds_eval 0.3) classes"
    )


def test_parameters_out_of_range_are_rejected() -> None:
    with pytest.raises(ValueError, match="gtc is 70"):
        PsdsParameters("percent", dtc=0.7, gtc=70, cttc=0.3, alpha_ct=0, alpha_st=1)
    truth = random_truth(np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected 'others'"):
        psds(random_detections(np.random.default_rng(0), truth), truth, SCENARIO_1, cross_trigger_average="mean")
