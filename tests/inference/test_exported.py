"""Exported files as trained networks. Their metadata are not trusted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcase_sweep
from dcase_sweep.config import plain
from dcase_sweep.inference import exported
from dcase_sweep.utils.errors import UserError
from tests.checkpoints import SCENE_CLASSES, SCENES

Described = dict[str, Any]


class Runtime:
    """Returns the same scores for each clip with the shape of the features."""

    step = 0.0

    def __init__(self, content: bytes) -> None:
        if content != b"a network":
            raise ValueError("no network\nat all")

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        assert clip.shape == (40, 50)
        return np.array([0.2, 0.7, 0.1], np.float32)


@pytest.fixture
def described() -> Described:
    settings = dcase_sweep.compose(list(SCENES)).settings
    front_end = plain(settings.front_end) | {"sample_rate": 44_100, "seconds": 1.0}
    return {"run": "0123", "classes": list(SCENE_CLASSES), "front_end": front_end}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exported, "LiteRTRuntime", Runtime)
    monkeypatch.setattr(exported, "check_runtime", lambda what: None)
    path = tmp_path / "float32.tflite"
    path.write_bytes(b"a network")
    return path


def describe(file: Path, described: object) -> None:
    file.with_name("metadata.json").write_text(json.dumps(described))


def test_a_file_and_its_description_are_a_trained_network(file: Path, described: Described) -> None:
    describe(file, described)

    model = dcase_sweep.load_run(file)
    found = model.predict(0.1 * np.random.default_rng(1).standard_normal(100_000), 44_100)

    assert (model.run_id, model.name, model.classes, model.settings) == ("0123", "float32", SCENE_CLASSES, None)
    assert (found.label, len(found.segments)) == ("park", 4)
    assert found.probabilities == pytest.approx({"park": 0.7, "bus": 0.2, "tram": 0.1})


def test_a_file_without_its_description_is_rejected(file: Path) -> None:
    with pytest.raises(UserError, match=r"float32\.tflite: no metadata\.json in its folder, with its classes"):
        dcase_sweep.load_run(file)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"classes": ["bus"]}, r"1 names of classes; expected 3, one for each output of the file"),
        ({"classes": ["bus", "bus", "tram"]}, r"does not name its classes"),
        ({"front_end": None}, r"does not describe its front end"),
        ({"front_end._target_": "os.system"}, r"front_end\._target_=os\.system: not a class of dcase_sweep"),
        ({"front_end.n_mels": 10**9}, r"front_end\.n_mels=1000000000: expected at most 4,096"),
        ({"front_end.n_mels": 20}, r"does not accept the features \[20, 50\] of its metadata"),
        ({"front_end.bands": 20}, r"front_end\.bands: no such key"),
        ({"front_end.seconds": "long"}, r"front_end\.seconds: expected a number"),
        ({"front_end.pad_mode": "${oc.env:HOME}"}, r"would be resolved"),
    ],
)
def test_a_description_that_does_not_fit_is_rejected_in_one_line(
    file: Path, described: Described, change: Described, line: str
) -> None:
    for key, value in change.items():
        group, _, name = key.partition(".")
        if name:
            described[group][name] = value
        else:
            described[group] = value
    describe(file, described)

    with pytest.raises(UserError, match=line) as refused:
        dcase_sweep.load_run(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_no_runtime_loads_is_rejected(file: Path, described: Described) -> None:
    describe(file, described)
    file.write_bytes(b"something else")

    with pytest.raises(
        UserError, match=r"float32\.tflite: cannot be loaded \(no network\); expected a file that export"
    ):
        dcase_sweep.load_run(file)
    file.unlink()
    with pytest.raises(UserError, match=r"float32\.tflite: no such file; expected one that export tflite wrote"):
        dcase_sweep.load_run(file)
