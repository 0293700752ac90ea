"""The table that compares the jobs of a sweep."""

import csv
import io

from dcase_sweep.sweep.comparison import Entry, compare, table, to_csv
from dcase_sweep.tasks.columns import COMMON
from dcase_sweep.tasks.scene_classification import SceneClassification
from dcase_sweep.tasks.sound_event_detection import SoundEventDetection

COLUMNS = (*SceneClassification.columns, *SoundEventDetection.columns, *COMMON)


def entry(model: str, seed: int, accuracy: float, status: str = "finished", **more: str) -> Entry:
    overrides = {"model": model, "seed": str(seed), "training.epochs": "2", **more}
    metrics = {"test/accuracy": accuracy, "test/log_loss": 1.5} if status == "finished" else {}
    return Entry(overrides, status, metrics, seconds=10.0 + seed, columns=COLUMNS)


def test_seeds_become_mean_and_deviation_of_the_sample() -> None:
    comparison = compare([entry("cnn4", 0, 0.40), entry("cnn5", 0, 0.5), entry("cnn4", 1, 0.44), entry("cnn5", 1, 0.5)])

    assert comparison.varying == ("model",)
    assert [row.values for row in comparison.rows] == [("cnn4",), ("cnn5",)]
    mean, deviation = comparison.rows[0].metrics["test/accuracy"]
    assert (round(mean, 6), round(deviation, 6)) == (0.42, 0.028284)


def test_only_what_varies_is_a_column() -> None:
    text = table(
        compare([entry("cnn4", 0, 0.40), entry("cnn4", 1, 0.44), entry("cnn5", 0, 0.5), entry("cnn5", 1, 0.52)])
    )

    lines = text.splitlines()
    assert lines[0].split() == ["model", "seeds", "accuracy", "%", "log", "loss", "seconds"]
    assert lines[2].split() == ["cnn4", "2", "42.0", "±", "2.8", "1.500", "10"]


def test_a_failed_job_is_counted_and_averaged_over() -> None:
    entries = [entry("cnn4", 0, 0.4), entry("cnn4", 1, 0.0, "failed"), entry("cnn5", 0, 0.0, "failed")]

    text = table(compare(entries))

    assert "1 of 2" in text.splitlines()[2]
    assert text.splitlines()[3].split() == ["cnn5", "1", "-", "-", "-", "0", "of", "1"]


def test_csv_holds_everything_unrounded() -> None:
    comparison = compare([entry("cnn4", 0, 1 / 3), entry("cnn5", 0, 0.25)])

    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))

    assert float(rows[0]["test/accuracy mean"]) == 1 / 3
    assert rows[1]["model"] == "cnn5"


SYNTHETIC = "synthetic demo data: not representative of real recordings"


def noted(name: str, note: str | None, status: str = "finished") -> Entry:
    return Entry({"data": name}, status, {"test/accuracy": 0.5} if status == "finished" else {}, note=note)


def test_a_note_above_the_table_marks_results_on_synthetic_data() -> None:
    comparison = compare([noted("demo", SYNTHETIC), noted("other", SYNTHETIC), noted("broken", None, "failed")])

    assert table(comparison).splitlines()[0] == SYNTHETIC
    assert to_csv(comparison).splitlines()[1].endswith(SYNTHETIC)


def test_rows_with_synthetic_results_are_marked_if_only_some_are() -> None:
    comparison = compare([noted("tau2020", None), noted("demo", SYNTHETIC)])

    assert table(comparison).splitlines()[0] == f"row 2: {SYNTHETIC}"
    assert SYNTHETIC not in table(compare([noted("tau2020", None)]))


def test_scores_on_part_of_the_clips_are_marked() -> None:
    def scored(model: str, clips: float) -> Entry:
        metrics = {"test/accuracy": 0.5, "complexity/parameters": 7.0}
        return Entry({"model": model}, "finished", metrics, coverage=(clips, 1168.0), columns=COLUMNS)

    lines = table(compare([scored("a", 1168), scored("b", 1050)])).splitlines()

    assert lines[2].split()[:3] == ["a", "50.0", "7"]
    assert lines[3].split()[:4] == ["b", "50.0", "*", "7"]
    assert lines[-1].startswith("* scored on 1,050 of 1,168 clips")


def test_zeros_have_a_column_where_there_are_some() -> None:
    def sized(target: str, nonzero: float) -> Entry:
        costs = {"complexity/parameters": 191030.0, "complexity/nonzero_parameters": nonzero}
        metrics = costs | {"complexity/nonzero_kib_16bit": nonzero / 512}
        return Entry({"compression.nonzero_kib": target}, "finished", metrics, columns=COLUMNS)

    pruned = table(compare([sized("null", 191030.0), sized("126", 63936.0)])).splitlines()
    dense = table(compare([sized("null", 191030.0), sized("126", 191001.0)])).splitlines()

    assert " ".join(pruned[0].split()) == "compression.nonzero_kib parameters non-zero KiB at 16 bit seconds"
    assert [line.split()[1:4] for line in pruned[2:]] == [
        ["191,030", "191,030", "373.1"],
        ["191,030", "63,936", "124.9"],
    ]
    assert "non-zero" not in dense[0]


def test_sound_event_detection_has_columns_of_its_own() -> None:
    metrics = {
        "test/teacher/psds_score_scenario1": 0.3514,
        "test/student/psds_score_scenario1": 0.3394,
        "test/teacher/event_f1_macro": 0.425,
        "test/teacher/intersection_f1_macro": 0.659,
        "best/validation/objective": 1.25,
    }

    header, _, row = table(compare([Entry({}, "finished", metrics, 9.0, columns=COLUMNS)])).splitlines()

    assert header.split("  ") == [
        "PSDS 1",
        "student's PSDS 1",
        "collar F1 %",
        "intersection F1 %",
        "validation",
        "seconds",
    ]
    assert row.split() == ["0.351", "0.339", "42.5", "65.9", "1.250", "9"]


def test_metrics_without_columns_are_shown_under_their_names() -> None:
    lines = table(
        compare([Entry({"x": "1"}, "finished", {"loss": 0.25}), Entry({"x": "2"}, "finished", {"loss": 0.5})])
    )

    assert lines.splitlines()[0].split() == ["x", "loss", "seconds"]
    assert lines.splitlines()[2].split() == ["1", "0.250", "0"]


def test_columns_of_all_tasks_come_after_those_of_each() -> None:
    scenes, events = ((*task.columns, *COMMON) for task in (SceneClassification, SoundEventDetection))

    comparison = compare(
        [
            Entry({"task": "1a"}, "finished", {"test/accuracy": 0.5, "complexity/parameters": 9.0}, columns=scenes),
            Entry({"task": "4"}, "finished", {"test/teacher/psds_score_scenario1": 0.3}, columns=events),
        ]
    )

    assert table(comparison).splitlines()[0].split() == ["task", "accuracy", "%", "PSDS", "1", "parameters", "seconds"]


def test_the_table_fits_the_terminal() -> None:
    """The metrics stay, costs are left out first."""
    entries = [entry("a_network_of_somebody", seed, 0.4 + seed / 10, **{"optimizer.lr": "0.001"}) for seed in (0, 1)]
    entries += [entry("cnn5", 0, 0.5, **{"optimizer.lr": "0.01"})]

    text = table(compare(entries), 60)

    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    assert any("45.0 ± 7.1" in line for line in lines)
    assert "not shown: " not in table(compare(entries), 120)
