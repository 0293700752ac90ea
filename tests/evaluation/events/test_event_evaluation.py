"""All metrics together, on all clips and on some of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    Coverage,
    Event,
    F1Criteria,
    collar_f1,
    evaluate,
    evaluate_detections,
    exact_psds,
    filter_scores,
    find_threshold_tables,
    format_text,
    ground_truth_from_events,
    read_detections,
    read_ground_truth,
    result_keys,
)
from dcase_sweep.utils.errors import DataError, UserError
from tests.evaluation.events.event_reference import HOP, LABELS, random_scores, random_truth


@pytest.fixture
def case():
    rng = np.random.default_rng(7)
    truth = random_truth(rng, clips=6)
    return truth, random_scores(rng, truth)


def test_figures_of_the_2021_baseline_from_its_tables(shared: Path) -> None:
    folder = shared / "data" / "sed_scores"
    truth = read_ground_truth(folder / "validation.tsv", folder / "validation_durations.tsv")
    system = folder / "dcase2021_baseline_student"
    tables = find_threshold_tables(system / "operating_points")
    evaluation = evaluate_detections(
        read_detections(tables, clips=truth.clips, labels=truth.labels),
        read_detections({0.5: system / "predictions0.5.csv"}, clips=truth.clips, labels=truth.labels),
        truth,
    )

    figures = result_keys(evaluation, network="student", loss_strong=0.25)

    assert {name: round(value, 3) for name, value in figures.items()} == {
        "test/student/event_f1_macro": 0.399,
        "test/student/intersection_f1_macro": 0.637,
        "test/student/loss_strong": 0.25,
        "test/student/psds_score_scenario1": 0.334,
        "test/student/psds_score_scenario2": 0.533,
        "test/student/psds_score_scenario2_psds_eval_0.5": 0.528,
    }


def test_a_perfect_system_is_perfect() -> None:
    truth = random_truth(np.random.default_rng(0))
    scores = {}
    for clip, duration in zip(truth.clips, truth.durations, strict=True):
        scores[clip] = np.zeros((round(duration * 1000), 3), dtype=np.float32)
        for event in truth.events_in(clip):
            scores[clip][round(event.onset * 1000) : round(event.offset * 1000), truth.labels.index(event.label)] = 1

    result = evaluate(scores, truth, hop=0.001, median_length=1)

    assert [score.value for score in (*result.psds, *result.exact)] == pytest.approx([1, 1, 1, 1])
    assert (result.collar.macro, result.segment.macro, result.intersection.macro) == (1, 1, 1)


def test_a_set_without_any_event_has_no_score() -> None:
    truth = ground_truth_from_events([], {"a.wav": 10.0}, labels=LABELS)

    result = evaluate({"a.wav": np.random.default_rng(0).random((156, 3))}, truth, hop=HOP)

    assert np.isnan([score.value for score in (*result.psds, *result.exact)]).all()
    assert np.isnan([result.collar.macro, result.segment.macro, result.intersection.macro]).all()
    assert "PSDS scenario 1 - 50 thresholds" in " ".join(format_text(result).split())


def test_a_set_without_any_event_has_no_score_where_nothing_is_detected() -> None:
    truth = ground_truth_from_events([], {"a.wav": 10.0}, labels=LABELS)

    result = evaluate({"a.wav": np.zeros((156, 3))}, truth, hop=HOP)

    assert np.isnan([result.collar.macro, result.segment.macro, result.intersection.macro]).all()
    text = format_text(result)
    assert "nothing is detected" not in text
    assert "nan" not in text


def test_missing_clips_are_left_out_and_reported(case) -> None:
    truth, scores = case
    some = {clip: scores[clip] for clip in truth.clips if clip not in ("clip1.wav", "clip4.wav")}

    result = evaluate(some, truth, hop=HOP)

    assert str(result.coverage) == "5 of 7 clips (71.4 %)"
    assert result.truth.clips == tuple(some)
    assert result.collar == evaluate(some, truth.restricted_to(some), hop=HOP).collar


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8, bool, object])
def test_decisions_and_scores_of_any_type_are_those_of_float32(case, dtype: type) -> None:
    truth, scores = case
    decisions = {clip: (values > 0.5).astype(np.float32) for clip, values in scores.items()}

    found = evaluate({clip: values.astype(dtype) for clip, values in decisions.items()}, truth, hop=HOP)

    expected = evaluate(decisions, truth, hop=HOP)
    assert found.collar == expected.collar
    assert [each.value for each in found.exact] == [each.value for each in expected.exact]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda values: 100 * values, r"from 0 to \d+\.\d+; expected probabilities, 0 to 1"),
        (lambda values: values - 0.5, r"from -0\.5 to 0\.\d+; expected probabilities, 0 to 1"),
        (lambda values: values.T, r"shape \[3, \d+\]; expected \[frame, 3\]"),
        (lambda values: values[: len(values) // 2], r"its frames are from 0 to .* s; expected scores for all"),
    ],
    ids=["percent", "logits", "classes first", "cut off"],
)
def test_scores_that_are_no_probabilities_of_a_whole_clip_are_rejected(
    case, change: Callable[[np.ndarray], np.ndarray], problem: str
) -> None:
    truth, scores = case
    scores["clip0.wav"][0] = 0

    with pytest.raises(DataError, match=rf"scores of clip0\.wav: {problem}"):
        evaluate({**scores, "clip0.wav": change(scores["clip0.wav"])}, truth, hop=HOP)


def test_clips_that_the_ground_truth_lacks_too_are_reported_by_the_caller(case) -> None:
    truth, scores = case

    assert evaluate(scores, truth, hop=HOP, coverage=Coverage(7, 10)).coverage.fraction == 0.7
    with pytest.raises(ValueError, match=r"coverage says 9 of 10 clips \(90.0 %\); expected 7 scored clips"):
        evaluate(scores, truth, hop=HOP, coverage=Coverage(9, 10))


def test_almost_all_is_not_all() -> None:
    assert str(Coverage(1167, 1168)) == "1,167 of 1,168 clips (99.9 %)"
    assert str(Coverage(99_999, 100_000)) == "99,999 of 100,000 clips (99.9 %)"
    assert str(Coverage(1168, 1168)) == "1,168 of 1,168 clips (100 %)"


def test_columns_may_have_another_order_than_the_ground_truth(case) -> None:
    truth, scores = case
    turned = {clip: values[:, ::-1] for clip, values in scores.items()}

    result = evaluate(turned, truth, hop=HOP, labels=LABELS[::-1])

    assert result.collar.macro == pytest.approx(evaluate(scores, truth, hop=HOP).collar.macro)


def test_parameters_reach_the_metrics(case) -> None:
    truth, scores = case
    criteria = F1Criteria(onset_collar=0.5, offset_collar=0.5, segment_length=0.5)

    result = evaluate(
        scores, truth, hop=HOP, median_length=3, f1_threshold=0.4, thresholds=[0.2, 0.4], criteria=criteria
    )

    assert result.collar == collar_f1(result.decisions, truth, onset_collar=0.5, offset_collar=0.5)
    assert result.segment.rule.startswith("segments of 0.5 s")
    assert result.psds[0].thresholds == 2
    filtered = filter_scores(scores, labels=LABELS, hop=HOP, median_length=3, clips=truth.clips)
    expected = exact_psds(filtered, truth, cross_trigger_average="all")
    assert [score.value for score in result.exact] == [score.value for score in expected]


def test_either_rule_for_cross_triggers_can_be_the_chosen_one() -> None:
    # Above 0.5 a Dog is heard in the Cat's six minutes, before the second Dog is above 0.3.
    events = [("a.wav", Event("Dog", 1, 2)), ("b.wav", Event("Cat", 0, 360)), ("b.wav", Event("Dog", 500, 501))]
    truth = ground_truth_from_events(events, {"a.wav": 1800.0, "b.wav": 1800.0})
    scores = {clip: np.zeros((1800, 2), dtype=np.float32) for clip in truth.clips}
    scores["a.wav"][1, 1], scores["b.wav"][:360, 0] = 0.9, 0.9
    scores["b.wav"][1, 1], scores["b.wav"][500, 1] = 0.6, 0.4

    chosen, other = (
        evaluate(scores, truth, hop=1.0, median_length=1, cross_trigger_average=average)
        for average in ("all", "others")
    )

    keys = [result_keys(result, network="student", loss_strong=0.0) for result in (chosen, other)]
    plain, of_05, of_03 = (
        f"test/student/psds_score_scenario2{end}" for end in ("", "_psds_eval_0.5", "_psds_eval_0.3")
    )
    assert keys[0][plain] == keys[1][of_03] != keys[1][plain] == keys[0][of_05]
    assert "test/student/psds_score_scenario1_psds_eval_0.5" not in keys[0]  # no cross-triggers: one figure
    assert [score.value for score in chosen.exact_other] == [other.exact[1].value]


@pytest.mark.parametrize("hop", [64, 0.016, 0, float("nan")])
def test_a_hop_that_does_not_fit_the_clips_is_rejected(case, hop: float) -> None:
    truth, scores = case

    with pytest.raises(ValueError, match="hop is"):
        evaluate(scores, truth, hop=hop)


def test_clips_that_were_padded_to_the_networks_length_have_a_hop_that_fits_it(case) -> None:
    truth, scores = case
    padded = {clip: np.pad(values, ((0, 1000), (0, 0))) for clip, values in scores.items()}
    seconds = HOP * np.mean([len(values) for values in padded.values()])

    assert evaluate(padded, truth, hop=HOP, clip_seconds=seconds).coverage.complete
    with pytest.raises(ValueError, match="hop is"):
        evaluate(padded, truth, hop=HOP)
    with pytest.raises(ValueError, match="hop is"):
        evaluate(padded, truth, hop=1000 * HOP, clip_seconds=seconds)


def test_scores_of_unknown_clips_and_no_scores_are_rejected(case) -> None:
    truth, scores = case

    with pytest.raises(DataError, match=r"scores of other\.wav: the clip is not in the ground truth"):
        evaluate({**scores, "other.wav": scores["last.wav"]}, truth, hop=HOP)
    with pytest.raises(UserError, match="no clip has scores"):
        evaluate({}, truth, hop=HOP)
