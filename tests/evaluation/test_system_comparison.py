"""Runs grouped over seeds, compared, and written as tables and as a page."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dcase_sweep.evaluation.comparison.cells import difference_cells
from dcase_sweep.evaluation.comparison.differences import compare_with_best
from dcase_sweep.evaluation.comparison.documents import differences_to_csv, to_csv, to_latex, to_markdown
from dcase_sweep.evaluation.comparison.page import to_html
from dcase_sweep.evaluation.comparison.published import published_results
from dcase_sweep.evaluation.comparison.systems import ComparedRun, group_runs
from dcase_sweep.evaluation.comparison.tables import to_text
from dcase_sweep.evaluation.resampling import Statistic
from dcase_sweep.evaluation.scenes.resampling import class_average

SETTINGS = (("16", "25"), ("64", "25"), ("16", "5"), ("1" * 12, "25"), ("2" + "1" * 11, "25"))
TRUTH = np.repeat(np.arange(4), 50)


def run(model: str, seed: int, accuracy: float, **parameters: str) -> ComparedRun:
    """A run of scenes whose decisions on 200 clips have this accuracy."""
    correct = np.random.default_rng(seed).random(200) < accuracy
    statistic, loss = class_average(correct, TRUTH, 4), class_average(~correct, TRUTH, 4)
    measured = float(statistic(np.ones((1, 200)))[0])
    return ComparedRun(
        id=f"{model}{seed}",
        name=f"{model} seed={seed}",
        parameters={"task.name": "1a", "task": "1a", "model": model, "seed": str(seed), **parameters},
        metrics={
            **{"test/accuracy": measured, "test/accuracy_device_a": measured, "complexity/parameters": 1000.0},
            "test/log_loss": 1 - measured,
        },
        history={"train/loss": [2.0, 1.0]},
        load_statistics=lambda: (tuple(map(str, range(200))), {"test/accuracy": statistic, "test/log_loss": loss}),
    )


def event_run(psds: float, model: str = "crnn", seed: int = 0, **parameters: str) -> ComparedRun:
    metrics = {"test/teacher/psds_score_scenario1": psds, "test/teacher/event_f1/Dog": 0.3, "test/psds2": 0.5}
    metrics |= {"test/clips_scored": 90.0, "test/clips_listed": 100.0, "test/f1": 0.4}
    rules = {f"evaluation.{name.replace('__', '.')}": value for name, value in parameters.items()}
    chosen = {"task.name": "4", "task": "4", "model": model, "seed": str(seed)}
    return ComparedRun(
        "e", model, {**chosen, "evaluation.cross_trigger_average": "all", **rules}, metrics, load_statistics=_resampled
    )


def _resampled() -> tuple[tuple[str, ...], dict[str, Statistic]]:
    return ("a", "b"), {f"test/{name}": lambda weights: weights[:, 0] / 2 for name in ("psds1", "psds2", "f1")}


def test_runs_that_differ_in_the_seed_are_one_row_and_the_best_is_first() -> None:
    runs = [run("cnn4", seed, 0.5) for seed in range(3)] + [run("cnn5", seed, 0.8) for seed in range(3)]

    systems = group_runs(runs)

    assert [(system.name, len(system.runs)) for system in systems] == [("cnn5", 3), ("cnn4", 3)]


def test_names_contain_what_differs_but_not_what_follows_from_it() -> None:
    deep = {"model.depth": "4", "hardware.threads": "2", "optimizer.lr": "0.1"}
    shallow = {"model.depth": "3", "hardware.threads": "1", "optimizer.lr": "0.1"}
    runs = [run("cnn4", 0, 0.5, **deep), run("cnn3", 0, 0.5, **shallow)]
    steeper = run("cnn4", 0, 0.5, **(deep | {"optimizer.lr": "0.2"}))

    assert {system.name for system in group_runs(runs)} == {"cnn4", "cnn3"}
    assert {system.name for system in group_runs([runs[0], steeper])} == {"lr=0.1", "lr=0.2"}


def test_a_key_that_an_earlier_version_did_not_have_is_null() -> None:
    new, earlier = run("cnn4", 0, 0.5, **{"task.monitor": "None"}), run("cnn4", 1, 0.5)
    limited, free = ({"training.clip": value} for value in ("1.0", "None"))

    assert [(system.name, len(system.runs)) for system in group_runs([new, earlier])] == [("cnn4", 2)]
    assert names_of(limited, free) == {"clip=1.0", "clip=None"}
    assert {system.name for system in group_runs([new, run("cnn5", 0, 0.5)])} == {"cnn4", "cnn5"}


def test_a_name_has_the_hash_of_the_data_only_if_nothing_else_tells_them_apart() -> None:
    small = {"data.train_clips": "60", "data.fingerprint": "dad876"}
    large = {"data.train_clips": "300", "data.fingerprint": "c4a664"}
    moved = {"data.train_clips": "60", "data.fingerprint": "0b13ff"}

    assert names_of(small, large) == {"train_clips=60", "train_clips=300"}
    assert names_of(small, moved) == {"fingerprint=dad876", "fingerprint=0b13ff"}


def test_names_of_trials_show_the_blocks_of_a_network_as_lists() -> None:
    def blocks(dropout: str, *pools: str) -> dict[str, str]:
        entries = {f"model.blocks.{index}.pool": pool for index, pool in enumerate(pools)}
        repeated = {f"model.blocks.{index}.dropout": dropout for index in range(1, len(pools))}
        return {"model.dropout": dropout, "model.blocks.0.dropout": "0.0", **entries, **repeated}

    runs = [
        run("cnn4", 0, 0.5, **blocks("0.3", "None", "[5, 5]", "[4, 4]")),
        run("baseline_cnn", 0, 0.5, **blocks("0.44833564652017105", "[4, 10]", "[2, 5]")),
        run("baseline_cnn", 0, 0.5, **blocks("0.3300867687463425", "[4, 10]", "[1, 1]", "[2, 2]")),
    ]

    assert {system.name for system in group_runs(runs)} == {
        "cnn4",
        "baseline_cnn pool=4×10,2×5 dropout=0.4483",
        "baseline_cnn pool=4×10,1×1,2×2 dropout=0.3301",
    }
    assert names_of({"model.blocks.1.pool": "2"}, {"model.blocks.1.pool": "4"}) == {"pool=2", "pool=4"}


def names_of(*parameters: dict[str, str]) -> set[str]:
    return {system.name for system in group_runs([run("cnn", 0, 0.5, **each) for each in parameters])}


def test_extra_metrics_are_named_only_where_nothing_else_differs() -> None:
    extra = {"metrics": "mine", "metrics.mine._target_": "my_metrics.mine"}
    plain = run("cnn4", 0, 0.5, metrics="none")

    assert [system.name for system in group_runs([plain, run("cnn5", 0, 0.9, **extra)])] == ["cnn5", "cnn4"]
    assert [system.name for system in group_runs([plain, run("cnn4", 0, 0.9, **extra)])] == [
        "metrics=mine",
        "metrics=none",
    ]


def test_two_systems_of_one_name_are_told_apart_by_their_rules() -> None:
    systems = group_runs([event_run(0.4), event_run(0.3, thresholds="10")])

    assert {system.name for system in systems} == {"crnn", "thresholds=10"}


def test_a_clear_difference_is_shown_and_two_seeds_cannot_show_one() -> None:
    systems = group_runs([run(model, seed, rate) for model, rate in (("a", 0.9), ("b", 0.5)) for seed in (0, 1)])

    found, of_loss = compare_with_best(systems, resamples=200)

    assert (found.measure.metric, of_loss.measure.metric) == ("test/accuracy", "test/log_loss")
    assert found.clips is not None
    assert found.clips.high < -0.2
    assert found.seeds_p == 0.5
    (line,) = (line for line in to_text(systems, [found], 80).splitlines() if line.startswith("    accuracy %"))
    assert re.fullmatch(r"    accuracy % +-\d\d\.\d +\[-\d\d\.\d, -\d\d\.\d\] +0\.005 \* +0\.500 \(2\)", line)
    assert "2 seeds cannot give less than 0.5." in to_text(systems, [found], 80)


def test_psds_and_f1_are_tested_for_events() -> None:
    systems = group_runs([event_run(0.4), event_run(0.3, "wide")])

    found = compare_with_best(systems, resamples=100)

    assert [each.measure.title for each in found] == ["PSDS 1", "PSDS 2", "F1 %"]
    assert all(each.clips is not None for each in found)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cross_trigger_average": "others"}, "cross-triggers over N-1 classes (psds_eval 0.5)"),
        ({"scenario2__alpha_ct": "0.3"}, "scenario 2 with alpha_ct 0.3"),
        ({"thresholds": "10"}, "PSDS: 10 thresholds"),
        ({"onset_collar": "0.5"}, "collars 0.5 s and 0.2 s or 20 %"),
        ({"cross_trigger_average": "none"}, "cross_trigger_average none"),
    ],
)
def test_other_rules_are_named_and_not_compared(changed: dict[str, str], words: str) -> None:
    systems = group_runs([event_run(0.4), event_run(0.3, "wide"), event_run(0.9, "other", **changed)])

    compared = compare_with_best(systems, resamples=100)

    assert [system.name for system in systems] == ["crnn", "wide", "other"]  # the largest value is of another rule
    assert {(each.best.name, each.other.name) for each in compared} == {("crnn", "wide")}
    text = to_text(systems, compared, 100)
    (row,) = (line for line in text.splitlines() if line.startswith("other"))
    assert row.split()[:3] == ["other", "1", "B"]
    assert words in " ".join(text.split())


def test_a_rule_that_changes_no_figure_is_the_same_one() -> None:
    runs = [event_run(0.4), event_run(0.3, "wide", reference="True", validation_threshold="0.4")]

    assert len({system.rule for system in group_runs(runs)}) == 1


def test_a_deviation_needs_two_different_values() -> None:
    (system,) = group_runs([run("cnn", seed, 0.5) for seed in range(3)])
    (single,) = group_runs([event_run(0.35)])

    row = next(line for line in to_text([system], [], 100).splitlines() if line.startswith("cnn"))
    assert re.search(r"\d ± 0\.\d+ +1,000$", row)  # the parameters are those of the network, whatever the seed
    assert "±" not in next(line for line in to_text([single], [], 100).splitlines() if line.startswith("crnn"))
    (parameters,) = (each["complexity/parameters deviation"] for each in rows_of(to_csv([system])) if each["run_ids"])
    assert parameters == ""


@pytest.mark.parametrize(
    "other", [{"data": "demo"}, {"data": "folder", "data.root": "/b", "data.table": "None"}], ids=["choice", "root"]
)
def test_results_on_other_data_are_not_compared(other: dict[str, str]) -> None:
    folder = {"data": "folder", "data.root": "/a", "data.table": "None"}
    systems = group_runs([run("a", 0, 0.6, **folder), run("b", 0, 0.5, **folder), run("c", 0, 0.9, **other)])

    compared = compare_with_best(systems, resamples=100)

    assert [each.name.split()[0] for each in systems] == ["a", "b", "c"]
    assert {(each.best.name.split()[0], each.other.name.split()[0]) for each in compared} == {("a", "b")}
    page = to_html(systems, compared)
    content = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    groups = [each["group"] for each in content["systems"]]
    assert groups[0] == groups[1] != groups[2]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_runs_on_other_clips_are_not_compared() -> None:
    moved = replace(run("b", 0, 0.5), load_statistics=lambda: (("x",), {}))
    unknown = replace(run("c", 0, 0.7), load_statistics=None)

    systems = group_runs([run("a", 0, 0.9), moved, unknown])
    found = compare_with_best(systems, resamples=100)

    assert [(each.name, each.rule.partition("; ")[2]) for each in systems] == [
        ("a", "test set 1 (200 clips)"),
        ("c", "test set 1 (200 clips)"),
        ("b", "test set 2 (1 clip)"),
    ]
    assert {(each.best.name, each.other.name, each.clips) for each in found} == {("a", "c", None)}
    assert "No interval: a run has no results by clip" in " ".join(to_text(systems, found, 80).split())


def test_a_run_that_was_repeated_counts_once() -> None:
    repeated = replace(run("a", 0, 0.9), id="later", metrics=run("a", 0, 0.9).metrics | {"energy/training_kwh": 2.0})

    (system,) = group_runs([run("a", 0, 0.9), run("a", 1, 0.9), repeated])

    assert [each.id for each in system.runs] == ["a1", "later"]


def test_runs_of_one_seed_with_other_results_are_one_pair() -> None:
    first, again = run("a", 0, 0.9), run("a", 0, 0.9)
    again = replace(again, metrics=again.metrics | {"test/accuracy": again.metrics["test/accuracy"] - 0.02})
    systems = group_runs([first, again, run("a", 1, 0.9), run("b", 0, 0.8), run("b", 1, 0.8)])

    compared = compare_with_best(systems, resamples=100)

    assert [len(system.runs) for system in systems] == [3, 2]
    assert compared[0].seeds == 2


def test_runs_on_the_same_data_in_other_folders_are_one_system() -> None:
    data = {"data": "folder", "data.table": "None", "data.fingerprint": "1"}
    runs = [run("a", 0, 0.9, **data, **{"data.root": "/data/own"}), run("a", 1, 0.9, **data, **{"data.root": ".."})]
    other = run("a", 0, 0.8, **{**data, "data.fingerprint": "2"}, **{"data.root": "/data/other"})

    systems = group_runs([*runs, other])

    assert {(system.name, len(system.runs)) for system in systems} == {("root=/data/own", 2), ("root=/data/other", 1)}


def test_all_rules_name_the_test_set_where_one_data_set_has_several() -> None:
    runs = [run(name, 0, 0.5, data="demo" if name == "c" else "tau2020") for name in "abc"]
    runs[1] = replace(runs[1], load_statistics=lambda: (("x",), {}))

    rules = {system.name.split()[0]: system.rule.partition("; ")[2] for system in group_runs(runs)}

    assert rules == {"a": "test set 1 (200 clips)", "b": "test set 2 (1 clip)", "c": "test set 3 (200 clips)"}


def test_one_run_of_each_fingerprint_is_read_for_its_clips() -> None:
    read = []

    def load() -> tuple[tuple[str, ...], dict[str, Statistic]]:
        read.append(1)
        return ("x",), {}

    def list_runs(*fingerprints: str) -> list[ComparedRun]:
        made = [run(name, 0, 0.5, **{"data.fingerprint": each}) for name, each in zip("abc", fingerprints, strict=True)]
        return [replace(each, load_statistics=load) for each in made]

    group_runs(list_runs("1", "1", "1"))
    assert not read
    systems = group_runs(list_runs("1", "1", "2"))
    assert len(read) == 2
    assert len({system.rule for system in systems}) == 1


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_the_terminal_and_breaks_no_number(width: int) -> None:
    systems = group_runs([run("a" * 90, 0, 0.5), run("b" * 90, 0, 0.6), event_run(0.35)])

    lines = to_text(systems, compare_with_best(systems, resamples=100), width).splitlines()

    assert max(map(len, lines)) <= width
    assert any(re.search(r"0\.350\b", line) for line in lines)


def test_names_that_are_cut_stay_different() -> None:
    systems = group_runs([run("cnn", 0, 0.5, **{"model.units": units, "training.epochs": e}) for units, e in SETTINGS])

    names = [line.split("  ")[0] for line in to_text(systems, [], 80).splitlines() if line.startswith("units=")]

    assert len(set(names)) == len(SETTINGS)
    assert "published" in to_text(systems, [], 80)


def test_earlier_names_published_rows_and_coverage_are_in_every_table() -> None:
    systems = group_runs([event_run(0.35)])

    for text in (to_text(systems, [], 120), to_markdown(systems, []), to_latex(systems, [])):
        assert "0.350" in text
        assert "0.353" in text  # of the published baseline
        assert "90 of 100" in text
    row, *published = rows_of(to_csv(systems))
    assert float(row["test/psds1 mean"]) == 0.35
    assert [each["source"] for each in published] == [each.source for each in published_results() if each.task == "4"]


@pytest.mark.parametrize(("data", "is_shown"), [("tau2020", True), ("folder", False), ("demo", False)])
def test_published_results_are_shown_beside_runs_on_the_same_data(data: str, is_shown: bool) -> None:
    systems = group_runs([run("cnn4", 0, 0.9, data=data)])

    assert ("DCASE 2021 baseline" in to_markdown(systems, [])) == is_shown


def test_differences_are_written_unrounded() -> None:
    systems = group_runs([run(model, 0, rate) for model, rate in (("a", 0.9), ("b", 0.5))])
    compared = compare_with_best(systems, resamples=100)

    accuracy, loss = rows_of(differences_to_csv(compared))

    assert (accuracy["system"], accuracy["best"], accuracy["metric"]) == ("b", "a", "test/accuracy")
    assert compared[0].clips is not None
    assert float(accuracy["low"]) == compared[0].clips.low
    assert float(loss["difference"]) == pytest.approx(-compared[0].clips.value, abs=1e-9)


def test_a_difference_without_results_by_clip_is_the_same_in_the_table_and_the_file() -> None:
    runs = [run(model, seed, rate) for model, rate in (("a", 0.9), ("b", 0.5)) for seed in (0, 1)]
    compared = compare_with_best(group_runs([replace(each, load_statistics=None) for each in runs]))

    accuracy, _ = rows_of(differences_to_csv(compared))

    assert compared[0].clips is None
    assert difference_cells(compared[0])[:2] == [f"{100 * float(accuracy['difference']):+.1f}", "-"]
    assert accuracy["low"] == ""


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
    assert r"a\_b \& \$x\$" in to_latex(systems, [])
    assert r"\</script\>\<img" in to_markdown(systems, [])


def test_a_page_shows_the_rules_and_the_differences() -> None:
    systems = group_runs([event_run(0.4), event_run(0.3, "wide"), event_run(0.9, "other", thresholds="10")])

    page = to_html(systems, compare_with_best(systems, resamples=100))

    content = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    assert [(each["name"], each["rule"]) for each in content["systems"]] == [
        ("crnn", "A"),
        ("wide", "A"),
        ("other", "B"),
    ]
    assert [each["measure"] for each in content["differences"]] == ["PSDS 1", "PSDS 2", "F1 %"]
    assert {each["rule"] for each in content["published"]} == {"A"}
    assert content["notes"]["4"][1].startswith("Rule B: PSDS: 10 thresholds")
