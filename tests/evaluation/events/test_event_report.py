"""The printed table, JSON and CSV."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    EventEvaluation,
    evaluate,
    format_headline,
    format_text,
    ground_truth_from_events,
    to_csv,
    to_json,
)
from tests.evaluation.events.event_reference import HOP, random_scores, random_truth


@pytest.fixture
def evaluation() -> EventEvaluation:
    rng = np.random.default_rng(3)
    truth = random_truth(rng)
    return evaluate(random_scores(rng, truth), truth, hop=HOP)


def rejoined(text: str) -> list[str]:
    """The lines before they were wrapped."""
    return re.sub(r"\n +", " ", text).splitlines()


def test_the_text_fits_a_terminal(evaluation: EventEvaluation) -> None:
    text = format_text(evaluation)

    assert max(len(line) for line in text.splitlines()) <= 120
    assert "\n  " in text


def test_every_figure_is_shown_with_its_rule(evaluation: EventEvaluation) -> None:
    lines = rejoined(format_text(evaluation))

    assert lines[0].startswith("Sound event detection: 6 of 6 clips (100 %)")
    scenario_2 = next(line for line in lines if line.startswith("PSDS scenario 2"))
    assert f"{evaluation.psds[1].value:.4f}" in scenario_2
    assert "averaged over N (psds_eval 0.3) classes" in scenario_2
    other = next(line for line in lines if line.startswith("PSDS scenario 2, psds_eval 0.5"))
    assert f"{evaluation.psds_other[0].value:.4f}" in other
    assert "averaged over N-1 (psds_eval 0.5) classes" in other
    collar = next(line for line in lines if line.startswith("collar F1, macro"))
    assert f"{100 * evaluation.collar.macro:.2f} %" in collar
    assert "onset within 200 ms, offset within 200 ms or 20 % of the length" in collar
    assert any(line.startswith("Dog ") for line in lines)


def test_the_note_on_published_figures_is_for_their_clips(evaluation: EventEvaluation) -> None:
    published = replace(evaluation, coverage=replace(evaluation.coverage, scored=1168, total=1168))

    assert "not comparable with figures of psds_eval 0.3" not in format_text(evaluation)
    assert "not comparable with figures of psds_eval 0.3" in format_text(published)


def test_figures_on_part_of_the_clips_are_marked() -> None:
    rng = np.random.default_rng(3)
    truth = random_truth(rng)
    scores = random_scores(rng, truth)
    del scores["clip0.wav"]

    text = "\n".join(rejoined(format_text(evaluate(scores, truth, hop=HOP))))

    figures = [line for line in text.splitlines() if "threshold" in line and "; " in line]
    assert len(figures) == 15
    assert all(" * " in line for line in figures)
    assert "* measured on 5 of 6 clips (83.3 %) only: not comparable with a score on all of them" in text


def test_classes_that_the_averages_lack_are_named() -> None:
    rng = np.random.default_rng(3)
    full = random_truth(rng)
    truth = ground_truth_from_events(
        [(clip, event) for clip in full.clips for event in full.events_in(clip) if event.label != "Cat"],
        dict(zip(full.clips, full.durations, strict=True)),
        labels=full.labels,
    )
    scores = random_scores(rng, truth)
    for values in scores.values():
        values[:, 1] = 0  # never a Dog

    text = format_text(evaluate(scores, truth, hop=HOP))

    assert "without a reference event: Cat;" in text
    assert "segment F1: Dog not in the mean, as there is no detection" in text
    assert "intersection F1: Dog not in the mean, as there is no true positive" in text


def test_json_and_csv_hold_the_same_figures(evaluation: EventEvaluation) -> None:
    figures = json.loads(json.dumps(to_json(evaluation), allow_nan=False))["figures"]
    rows = list(csv.DictReader(io.StringIO(to_csv(evaluation))))

    assert len(figures) == len(rows) == 15 + 11 * 3
    for figure, row in zip(figures, rows, strict=True):
        assert (figure["metric"], figure["average"], figure["class"] or "") == (
            row["metric"],
            row["average"],
            row["class"],
        )
        assert figure["value"] == (float(row["value"]) if row["value"] else None)
    assert figures[0]["value"] == evaluation.psds[0].value
    assert {row["clips_scored"] for row in rows} == {"6"}


def test_silence_is_reported_once() -> None:
    truth = random_truth(np.random.default_rng(0))
    silence = {clip: np.zeros((156, 3), dtype=np.float32) for clip in truth.clips}

    text = format_text(evaluate(silence, truth, hop=HOP))

    assert "nothing is detected at threshold 0.5: F1 is 0" in text
    assert "not in the mean" not in text


def test_the_headline_is_one_table_of_all_networks(evaluation: EventEvaluation) -> None:
    text = format_headline({"student": evaluation, "teacher": evaluation}, note="synthetic", width=None)

    lines = text.splitlines()
    assert lines[0].startswith("Sound event detection: 6 of 6 clips (100 %)")
    assert lines[0].endswith("(synthetic)")
    assert lines[2].split() == ["metric", "student", "teacher", "classes"]
    score = f"{evaluation.psds[0].value:.4f}"
    assert lines[4].split() == ["PSDS", "1", "(exact", "times)", score, score, "3", "of", "3"]
    assert [line.split()[0] for line in lines[4:9]] == ["PSDS", "PSDS", "collar", "intersection", "segment"]
    assert lines[-1].endswith("are in events.txt")
    assert "psds_eval" not in text


def test_classes_that_were_not_tested_are_not_counted() -> None:
    rng = np.random.default_rng(3)
    full = random_truth(rng)
    truth = ground_truth_from_events(
        [(clip, event) for clip in full.clips for event in full.events_in(clip) if event.label == "Cat"],
        dict(zip(full.clips, full.durations, strict=True)),
        labels=full.labels,
    )
    evaluation = evaluate(random_scores(rng, truth), truth, hop=HOP)

    text = format_headline({"teacher": evaluation}, note=None, width=80)

    assert re.search(r"^PSDS 1 .* 1 of 3$", text, re.MULTILINE)
    assert "; over 1 of 3 classes" in "\n".join(rejoined(format_text(evaluation)))
    assert max(map(len, text.splitlines())) <= 80


def test_a_note_that_holds_for_one_network_names_it(evaluation: EventEvaluation) -> None:
    rng = np.random.default_rng(3)
    truth = random_truth(rng)
    scores = random_scores(rng, truth)
    for values in scores.values():
        values[:, 1] = 0  # never a Dog
    student = evaluate(scores, truth, hop=HOP)

    differing = format_headline({"student": student, "teacher": evaluation}, note=None, width=None)
    equal = format_headline({"student": student, "teacher": student}, note=None, width=None)

    assert "\nstudent: segment F1: Dog not in the mean, as there is no detection\n" in differing
    assert "\nsegment F1: Dog not in the mean, as there is no detection\n" in equal


@pytest.mark.parametrize("width", [80, 100])
def test_the_whole_text_fits_the_terminal(evaluation: EventEvaluation, width: int) -> None:
    assert max(map(len, format_text(evaluation, width).splitlines())) <= width
