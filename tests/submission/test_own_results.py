"""A package of a trained run says of the run's own test clips what the run said of them."""

import json
from pathlib import Path

import pytest
import yaml

import dcase_sweep
from dcase_sweep.__main__ import main
from dcase_sweep.data.events import DESED_CLASSES
from dcase_sweep.evaluation.events import (
    evaluate_detections,
    find_threshold_tables,
    read_detections,
    read_ground_truth,
)
from tests.api.test_trained import EVENTS, Trained, train
from tests.conftest import TINY
from tests.desed_layout import VALIDATION_AUDIO, VALIDATION_DURATIONS, VALIDATION_TABLE, make_desed
from tests.layout import make_tau, read_table

pytestmark = pytest.mark.usefixtures("no_tracking_address")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Trained:
    folder = tmp_path_factory.mktemp("scenes")
    return train(folder, database, make_tau(folder / "tau"), "data=tau2020", "augmentation=mixup", *TINY)


@pytest.mark.parametrize("given", ["id", "folder"])
def test_the_probabilities_are_those_of_the_test(scenes: Trained, tmp_path: Path, given: str) -> None:
    run = scenes.result.run_id if given == "id" else str(scenes.folder / "run")
    table = scenes.data / "evaluation_setup/fold1_evaluate.csv"

    assert run is not None
    places = ["--recordings", str(scenes.data), "--table", str(table), "-o", str(tmp_path)]
    words = ["--label", "Kim_SNU_task1a_1", "--bits", "32", "--draft"]
    code = main(["submit", run, f"tracking.folder={scenes.mlruns}", *places, *words])

    assert code == 0
    folder = tmp_path / "task1/task1a/Kim_SNU_task1a_1"
    submitted, own = read_table(folder / "Kim_SNU_task1a_1.output.csv"), read_table(scenes.folder / "run/scores.csv")
    assert [f"audio/{row['filename']}" for row in submitted] == [row["filename"] for row in own]
    for ours, theirs in zip(submitted, own, strict=True):
        assert ours["scene_label"] == theirs["scene_label"]
        for name in ("bus", "park", "tram"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=1e-5)
    metadata = yaml.safe_load((folder / "Kim_SNU_task1a_1.meta.yaml").read_text(encoding="utf-8"))
    metrics = json.loads((scenes.folder / "run/metrics.json").read_text())
    assert metadata["results"]["development_dataset"]["overall"] == {
        "logloss": pytest.approx(metrics["test/log_loss"], abs=1e-4),
        "accuracy": pytest.approx(100 * metrics["test/accuracy"], abs=1e-4),
    }
    assert metadata["system"]["description"]["data_augmentation"] == "mixup"


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Trained:
    folder = tmp_path_factory.mktemp("events")
    return train(folder, database, make_desed(folder / "desed"), "data=desed", "tracking.model=false", *EVENTS)


@pytest.mark.parametrize("member", ["student", "teacher"])
def test_the_tables_of_events_have_the_results_of_the_test(events: Trained, tmp_path: Path, member: str) -> None:
    places = ["--recordings", str(events.data / VALIDATION_AUDIO), "-o", str(tmp_path)]
    run = str(events.folder / "run")

    words = ["--label", "Kim_SNU_task4_SED_1", "--network", member, "--draft"]
    assert main(["submit", run, *places, *words]) == 0

    folder = tmp_path / "task4/Kim_SNU_task4_SED_1"
    truth = read_ground_truth(events.data / VALIDATION_TABLE, events.data / VALIDATION_DURATIONS, labels=DESED_CLASSES)
    shared = {"clips": truth.clips, "labels": truth.labels}
    tables = find_threshold_tables(folder / "Kim_SNU_task4_SED_1.output_PSDS")
    evaluation = evaluate_detections(
        read_detections(tables, **shared),
        read_detections({0.5: folder / "Kim_SNU_task4_SED_1.output.tsv"}, **shared),
        truth,
    )
    metrics = json.loads((events.folder / "run/metrics.json").read_text())
    assert len(tables) == 50
    # Of a network after one epoch F1 is 0, and its errors tell most.
    own = {name.removeprefix(f"test/{member}/"): value for name, value in metrics.items()}
    assert own["event_error_rate"] > 1
    assert evaluation.collar_errors.overall == pytest.approx(own["event_error_rate"], abs=1e-6)
    assert evaluation.segment_errors.overall == pytest.approx(own["segment_error_rate"], abs=1e-6)
    assert evaluation.segment.macro == pytest.approx(own["segment_f1_macro"], abs=1e-6)
    for number, score in enumerate(evaluation.psds, start=1):
        assert score.value == pytest.approx(own[f"psds_score_scenario{number}"], abs=1e-6)
    metadata = yaml.safe_load((folder / "Kim_SNU_task4_SED_1.meta.yaml").read_text(encoding="utf-8"))
    assert metadata["results"]["development_dataset"]["overall"] == {
        "F-score": pytest.approx(100 * metrics[f"test/{member}/event_f1_macro"], abs=1e-3),
        "PSDS1": pytest.approx(metrics[f"test/{member}/psds_score_scenario1"], abs=1e-3),
        "PSDS2": pytest.approx(metrics[f"test/{member}/psds_score_scenario2"], abs=1e-3),
    }
    assert metadata["system"]["description"]["input_sampling_rate"] == 16_000
    assert metadata["system"]["description"]["machine_learning_method"] == "CRNN"


def test_each_table_has_the_events_at_its_threshold(events: Trained, tmp_path: Path) -> None:
    audio = events.data / VALIDATION_AUDIO
    run = str(events.folder / "run")
    words = ["--label", "Kim_SNU_task4_SED_1", "--draft", "-o", str(tmp_path)]
    assert main(["submit", run, "--recordings", str(audio), *words]) == 0

    model = dcase_sweep.load_run(run)
    tables = find_threshold_tables(tmp_path / "task4/Kim_SNU_task4_SED_1/Kim_SNU_task4_SED_1.output_PSDS")
    found = 0
    for threshold in (0.45, 0.49, 0.51, 0.55):
        rows = read_table(tables[threshold])
        for path in sorted(audio.iterdir()):
            expected = {
                (event.event_label, round(event.onset, 6), round(event.offset, 6))
                for event in model.predict(path, threshold=threshold).events
            }
            own = {
                (row["event_label"], float(row["onset"]), float(row["offset"]))
                for row in rows
                if row["filename"] == path.name
            }
            assert own == expected
            found += len(own)
    assert found > 0
