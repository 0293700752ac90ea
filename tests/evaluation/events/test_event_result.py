"""The evaluation result of student and teacher."""

from functools import lru_cache

import numpy as np
import pytest

from dcase_sweep.evaluation.events.result import ClipView, NetworkScores, evaluate_event_scores
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.result import EvaluationResult
from tests.evaluation.events.event_reference import HOP, LABELS, random_scores, random_truth


@lru_cache
def evaluate(listed: int | None = None, *, detected: bool = True) -> EvaluationResult:
    """Evaluate the example; the default result is shared by the tests."""
    return judge(listed, detected=detected)


def judge(
    listed: int | None = None,
    *,
    detected: bool = True,
    views: tuple[ClipView, ...] = (),
    rules: EventRules = EventRules(),  # noqa: B008 (it cannot change)
    networks: tuple[str, ...] = ("student", "teacher"),
) -> EvaluationResult:
    rng = np.random.default_rng(3)
    truth = random_truth(rng)
    scores = random_scores(rng, truth)
    if not detected:
        scores = {clip: np.zeros_like(values) for clip, values in scores.items()}
    events = [(clip, event.onset, event.offset, event.label) for clip in truth.clips for event in truth.events_in(clip)]
    return evaluate_event_scores(
        {name: NetworkScores(scores, {"student": 0.25, "teacher": 0.5}[name]) for name in networks},
        events,
        dict(zip(truth.clips, truth.durations.tolist(), strict=True)),
        labels=LABELS,
        hop=HOP,
        median_length=3,
        listed=listed or len(truth.clips),
        views=views,
        rules=rules,
    )


def test_the_number_of_scored_clips_is_always_reported() -> None:
    whole, part = evaluate(), evaluate(listed=8)

    assert (whole.metrics["test/clips_scored"], whole.metrics["test/clips_listed"]) == (6, 6)
    assert (part.metrics["test/clips_scored"], part.metrics["test/clips_listed"]) == (6, 8)
    assert "*" not in whole.table


def test_a_score_on_part_of_the_set_never_looks_like_one_on_all() -> None:
    table = evaluate(listed=8).table

    keys = [line for line in table.splitlines() if line.startswith("test/")]
    assert len(keys) >= 10
    assert all(line.endswith(" *") for line in keys)
    assert table.splitlines()[-1] == "* scored on 6 of 8 clips (75.0 %)"
    assert "PSDS scenario 1 *" in table


def test_both_rules_for_cross_triggers_are_logged() -> None:
    metrics = evaluate().metrics

    assert {"test/student/psds_score_scenario2", "test/student/psds_score_scenario2_psds_eval_0.5"} <= set(metrics)
    assert "test/teacher/psds_exact_scenario2_psds_eval_0.5" in metrics


def test_every_figure_of_every_class_is_logged() -> None:
    metrics = evaluate().metrics

    for figure in ("event_f1", "segment_f1", "intersection_f1", "psds_score_scenario1", "psds_score_scenario2"):
        for label in LABELS:
            assert 0 <= metrics[f"test/teacher/{figure}/{label}"] <= 1


def test_undefined_figures_are_printed_as_such_and_not_logged() -> None:
    result = evaluate_event_scores(
        {"student": NetworkScores({"a.wav": np.full((156, 3), 0.1, dtype=np.float32)}, 0.25)},
        [],
        {"a.wav": 10.0},
        labels=LABELS,
        hop=HOP,
        median_length=7,
        listed=1,
    )

    line = next(line for line in result.table.splitlines() if line.startswith("test/student/psds_score_scenario1"))
    assert line.split()[1:] == ["-"]
    assert "test/student/psds_score_scenario1" not in result.metrics


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_no_detection_is_a_valid_result(network: str) -> None:
    metrics = evaluate(detected=False).metrics

    assert metrics[f"test/{network}/event_f1_macro"] == 0
    assert metrics[f"test/{network}/psds_score_scenario1"] == 0


@pytest.mark.parametrize(("seconds", "frames", "covered"), [(10.0, 30, 3.0), (2.0, 100, 2.0)])
def test_a_clip_is_shown_without_the_silence_behind_it(seconds: float, frames: int, covered: float) -> None:
    view = ClipView("last.wav", np.zeros((8, 100)), seconds)  # a clip of 3 s

    figure = judge(views=(view,), networks=("student",)).figures["student_clip0.png"]

    image = figure.axes[0].get_images()[0]
    assert image.get_array().shape == (8, frames)
    assert image.get_extent() == pytest.approx([0, covered, -0.5, 7.5])
    assert figure.axes[1].get_xlim() == pytest.approx((0, 3))


def test_the_published_dictionary_begins_with_the_students_larger_psds() -> None:
    result = evaluate()

    scores = [result.metrics[f"test/student/psds_score_scenario{number}"] for number in (1, 2)]
    assert result.metrics["hp_metric"] == max(scores)
    keys = [line.split()[0] for line in result.table.splitlines() if line.startswith(("hp_metric", "test/"))]
    assert keys[0] == "hp_metric"


def test_a_run_logs_the_figures_that_have_the_same_names_in_both_tasks() -> None:
    result = evaluate()

    logged = {name: value for name, value in result.metrics.items() if result.is_logged(name)}
    assert logged["test/psds1"] == result.metrics["test/student/psds_score_scenario1"]
    assert logged["test/psds2"] == result.metrics["test/student/psds_score_scenario2"]
    assert logged["test/f1"] == result.metrics["test/student/event_f1_macro"]
    assert not any(name.count("/") > 2 for name in logged)
    assert "test/student/event_f1_micro" in set(result.metrics) - set(logged)


def test_error_rates_are_computed() -> None:
    metrics = evaluate().metrics

    for name in ("event_error_rate", "event_error_rate_macro", "segment_error_rate", "segment_error_rate_macro"):
        assert metrics[f"test/student/{name}"] >= 0


def test_figures_are_drawn_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("drawn")

    monkeypatch.setattr("dcase_sweep.evaluation.events.result.psd_roc_figure", fail)
    result = judge()

    with pytest.raises(RuntimeError, match="drawn"):
        result.figures["student_psd_roc.png"]


def test_the_figures_of_psds_eval_and_sed_eval_are_logged_on_request() -> None:
    pytest.importorskip("psds_eval")
    result = judge(rules=EventRules(reference=True, thresholds=10), networks=("student",))

    theirs = {name: value for name, value in result.metrics.items() if name.startswith("reference/student/")}
    assert len(theirs) == 12
    ours = result.metrics["test/student/psds_score_scenario1"]
    assert theirs["reference/student/psds_scenario_1"] == pytest.approx(ours)
    assert theirs["reference/student/collar_f1_macro"] == pytest.approx(result.metrics["test/student/event_f1_macro"])
    assert not any(name.startswith("reference/") for name in evaluate().metrics)


def test_a_network_that_detects_nothing_is_compared_too() -> None:
    pytest.importorskip("psds_eval")
    table = judge(detected=False, rules=EventRules(reference=True), networks=("student",)).table

    rows = [line.split() for line in table.splitlines()]
    assert ["collar", "F1,", "macro", "0.000000", "0.000000", "0.0e+00", "sed_eval", "0.2.1"] in rows
    assert ["segment", "F1,", "macro", "0.000000", "-", "-", "sed_eval", "0.2.1"] in rows
