"""Small packages, as people would make them by hand, for tests of their validation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from dcase_sweep.submission import rules

#: How many recordings the evaluation set of task 1A has in these tests.
CLIPS = 4
PDF = b"%PDF-1.5\n%%EOF\n"


def use_small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the evaluation set of task 1A have a few recordings."""
    monkeypatch.setattr(rules, "RULES", (replace(rules.TASK_1A, clips=CLIPS), *rules.RULES[1:]))


def record(path: Path, seconds: float = 1.0, *, seed: int = 1, rate: int = 44_100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.05, round(rate * seconds))
    soundfile.write(path, noise, rate)
    return path


def metadata(label: str) -> dict[str, Any]:
    """Metadata of a system of task 1A, or with the results of task 4."""
    results: dict[str, Any] = {
        "overall": {"logloss": 1.1, "accuracy": 60.0},
        "class_wise": {name: {"logloss": 1.0, "accuracy": 50.0} for name in rules.SCENES},
        "device_wise": None,
    }
    if "task4" in label:
        overall = {"F-score": 40.1, "PSDS1": 0.34, "PSDS2": 0.53}
        results = {"overall": overall, "class_wise": {"Dog": {"F-score": 30.0}}}
    return {
        "submission": {
            "label": label,
            "name": "A small network",
            "abbreviation": "small",
            "authors": [
                {
                    "lastname": "Kim",
                    "firstname": "Minji",
                    "email": "kim@example.org",
                    "corresponding": True,
                    "affiliation": {"abbreviation": "SNU", "institute": "Seoul National University"},
                },
                {"lastname": "Lee", "firstname": "J", "email": "lee@example.org", "affiliation": {"institute": "SNU"}},
            ],
        },
        "system": {
            "description": {
                "input_sampling_rate": 44_100,
                "acoustic_features": "log-mel energies",
                "embeddings": None,
                "data_augmentation": "mixup",
                "machine_learning_method": "CNN",
                "ensemble_method_subsystem_count": None,
                "decision_making": None,
                "external_data_usage": None,
            },
            "complexity": {"total_parameters": 46_246, "total_parameters_non_zero": 46_246, "model_size": 90.8},
            "external_datasets": [],
            "source_code": None,
        },
        "results": {"development_dataset": results},
    }


def scene_rows() -> list[list[str]]:
    """The header and the rows of a valid output file."""
    rest = ["0.05"] * (len(rules.SCENES) - 1)
    rows = [[f"{number}.wav", "airport", "0.55", *rest] for number in range(CLIPS)]
    return [["filename", "scene_label", *rules.SCENES], *rows]


def write_rows(path: Path, rows: list[list[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def write_metadata(path: Path, values: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def make_scene_package(root: Path, label: str = "Kim_SNU_task1a_1") -> Path:
    """A valid package of task 1A; returns the folder of its system."""
    folder = root / "task1/task1a" / label
    folder.mkdir(parents=True)
    write_metadata(folder / f"{label}.meta.yaml", metadata(label))
    write_rows(folder / f"{label}.output.csv", scene_rows())
    (folder.parent / "Kim_SNU_task1a.technical_report.pdf").write_bytes(PDF)
    return folder


def make_event_package(root: Path, label: str = "Kim_SNU_task4_SED_1") -> Path:
    """A valid package of task 4 of 2021; returns the folder of its system."""
    folder = root / "task4" / label
    (folder / f"{label}.output_PSDS").mkdir(parents=True)
    write_metadata(folder / f"{label}.meta.yaml", metadata(label))
    rows = [["filename", "onset", "offset", "event_label"], ["a.wav", "0.5", "1.25", "Dog"]]
    write_rows(folder / f"{label}.output.tsv", rows)
    for number in range(50):
        write_rows(folder / f"{label}.output_PSDS/predictions_th_{0.01 + 0.02 * number:.2f}.tsv", rows)
    (root / "task4/report.pdf").write_bytes(PDF)
    return folder


def make_score_package(root: Path, label: str = "Kim_SNU_task4a_1") -> Path:
    """A valid package of task 4 of 2023; returns the folder of its system."""
    folder = root / "task4a" / label
    rows = [["onset", "offset", *rules.DESED_CLASSES]]
    rows += [[f"{0.5 * step}", f"{0.5 * step + 0.5}", *["0.25"] * 10] for step in range(4)]
    for run in (1, 2, 3):
        for end in ("", "_unprocessed"):
            (folder / f"{label}_run{run}{end}.output").mkdir(parents=True)
            write_rows(folder / f"{label}_run{run}{end}.output/a.tsv", rows)
    write_metadata(folder / f"{label}.meta.yaml", metadata(label))
    (root / "task4a/report.pdf").write_bytes(PDF)
    return folder
