"""Runs grouped over seeds, compared, and written as tables and as a page."""

import csv
import io
import json
import re

import numpy as np
import pytest

from dcase_sweep.evaluation.comparison.differences import compare_with_best
from dcase_sweep.evaluation.comparison.page import to_html
from dcase_sweep.evaluation.comparison.systems import ComparedRun, group_runs
from dcase_sweep.evaluation.comparison.tables import to_csv, to_latex, to_markdown, to_text
from dcase_sweep.evaluation.scenes.resampling import class_average

TRUTH = np.repeat(np.arange(4), 50)


def run(model: str, seed: int, accuracy: float, **parameters: str) -> ComparedRun:
    """A run of scenes whose decisions on 200 clips have this accuracy."""
    correct = np.random.default_rng(seed).random(200) < accuracy
    statistic = class_average(correct, TRUTH, 4)
    measured = float(statistic(np.ones((1, 200)))[0])
    return ComparedRun(
        id=f"{model}{seed}",
        name=f"{model} seed={seed}",
        parameters={"task.name": "1a", "task": "1a", "model": model, "seed": str(seed), **parameters},
        metrics={"test/accuracy": measured, "test/accuracy_device_a": measured, "complexity/parameters": 1000.0},
        history={"train/loss": [2.0, 1.0]},
        load_statistics=lambda: (tuple(map(str, range(200))), {"test/accuracy": statistic}),
    )


def event_run(psds: float) -> ComparedRun:
    metrics = {"test/teacher/psds_score_scenario1": psds, "test/teacher/event_f1/Dog": 0.3}
    metrics |= {"test/clips_scored": 90.0, "test/clips_listed": 100.0}
    return ComparedRun("e", "crnn", {"task.name": "4", "task": "4", "model": "crnn", "seed": "0"}, metrics)


def test_runs_that_differ_in_the_seed_are_one_row_and_the_best_is_first() -> None:
    runs = [run("cnn4", seed, 0.5) for seed in range(3)] + [run("cnn5", seed, 0.8) for seed in range(3)]

    systems = group_runs(runs)

    assert [(system.name, len(system.runs)) for system in systems] == [("cnn5", 3), ("cnn4", 3)]


def test_names_say_what_differs_and_not_what_follows_from_it() -> None:
    deep = {"model.depth": "4", "hardware.threads": "2", "optimizer.lr": "0.1"}
    shallow = {"model.depth": "3", "hardware.threads": "1", "optimizer.lr": "0.1"}
    runs = [run("cnn4", 0, 0.5, **deep), run("cnn3", 0, 0.5, **shallow)]
    steeper = run("cnn4", 0, 0.5, **(deep | {"optimizer.lr": "0.2"}))

    assert {system.name for system in group_runs(runs)} == {"cnn4", "cnn3"}
    assert {system.name for system in group_runs([runs[0], steeper])} == {"optimizer.lr=0.1", "optimizer.lr=0.2"}


def test_a_clear_difference_is_shown_and_two_seeds_cannot_show_one() -> None:
    systems = group_runs([run(model, seed, rate) for model, rate in (("a", 0.9), ("b", 0.5)) for seed in (0, 1)])

    (found,) = compare_with_best(systems, resamples=200)

    assert found.clips is not None
    assert found.clips.high < -0.2
    assert found.seeds_p == 0.5
    text = to_text(systems, [found], 80)
    assert "differs" in text
    assert "2 seeds cannot give less than 0.5" in text


def test_runs_on_other_clips_are_not_resampled_together() -> None:
    other = run("b", 0, 0.5)
    moved = ComparedRun(other.id, other.name, other.parameters, other.metrics, load_statistics=lambda: (("x",), {}))

    (found,) = compare_with_best(group_runs([run("a", 0, 0.9), moved]))

    assert found.clips is None


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_the_terminal_and_breaks_no_number(width: int) -> None:
    systems = group_runs([run("a" * 90, 0, 0.5), run("b" * 90, 0, 0.6), event_run(0.35)])

    lines = to_text(systems, [], width).splitlines()

    assert max(map(len, lines)) <= width
    assert any(re.search(r"0\.350\b", line) for line in lines)


def test_earlier_names_published_rows_and_coverage_are_in_every_table() -> None:
    systems = group_runs([event_run(0.35)])

    for text in (to_text(systems, [], 120), to_markdown(systems, []), to_latex(systems)):
        assert "0.350" in text
        assert "0.353" in text  # of the published baseline
        assert "90 of 100" in text
    (row,) = csv.DictReader(io.StringIO(to_csv(systems)))
    assert float(row["test/psds1 mean"]) == 0.35


def test_no_name_is_markup() -> None:
    evil = "</script><img src=x onerror=alert(1)> | a_b & $x$"
    systems = group_runs([run(evil, 0, 0.5), run("cnn", 0, 0.4)])

    page = to_html(systems, compare_with_best(systems, resamples=100))

    assert "<img" not in page
    assert page.count("</script>") == 2  # the data and the program
    content = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    assert content["systems"][0]["name"] == evil
    assert content["systems"][0]["runs"][0]["history"]["train/loss"] == [[1, 2.0], [2, 1.0]]
    assert content["systems"][0]["details"]["accuracy by device"].keys() == {"a"}
    assert not re.search(r"""(src|href)=["']|@import|url\(|fetch\(""", page)  # nothing is loaded
    assert r"a\_b \& \$x\$" in to_latex(systems)
    assert r"\</script\>\<img" in to_markdown(systems, [])
