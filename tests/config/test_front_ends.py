"""The configuration group ``front_end``, and the arguments that task and data determine."""

import sys
from pathlib import Path

import pytest
import torch

from dcase_sweep.config import (
    Experiment,
    build_front_end,
    flatten,
    instantiate,
    stored_configuration,
    stores_features,
)
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.data.store.folder import front_end_folder
from dcase_sweep.utils.errors import UserError
from tests.composing import composed

MODULE = '''"""A front end of a user's own."""

import torch


class Loudness:
    """The mean square of each tenth of a second."""

    def __init__(self, *, sample_rate: int, seconds: float, floor: float = 1e-6) -> None:
        self.sample_rate, self.seconds, self.floor = sample_rate, seconds, floor
        self.shape = (1, round(10 * seconds))

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        parts = waveforms.reshape(len(waveforms), *self.shape, -1)
        return parts.square().mean(dim=3).add(self.floor).log()


class Speech(Loudness):
    def __init__(self) -> None:
        super().__init__(sample_rate=16_000, seconds=10.0)
'''


def stored(experiment: Experiment) -> str:
    """The name of the folder of the experiment's features."""
    return front_end_folder(Path(), stored_configuration(experiment, build_front_end(experiment))).name


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module with two front ends, and a YAML file for each."""
    (tmp_path / "loudness_of_clips.py").write_text(MODULE)
    (tmp_path / "conf/front_end").mkdir(parents=True)
    (tmp_path / "conf/front_end/loudness.yaml").write_text("_target_: loudness_of_clips.Loudness\nfloor: 1e-3\n")
    (tmp_path / "conf/front_end/speech.yaml").write_text("_target_: loudness_of_clips.Speech\n")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("loudness_of_clips", None)
    return tmp_path


@pytest.mark.parametrize(
    ("override", "target"),
    [
        ("task=1a", "dcase_sweep.audio.log_mel.LogMel"),
        ("model=crnn_meanteacher", "dcase_sweep.audio.amplitude_mel.AmplitudeMel"),
    ],
)
def test_each_task_has_its_front_end_where_none_is_chosen(override: str, target: str) -> None:
    assert composed(override).front_end._target_ == target


@pytest.mark.parametrize(
    ("override", "name"), [("task=1a", "fc6d85e71736f48e"), ("model=crnn_meanteacher", "b906222e77d5f11b")]
)
def test_stored_features_of_earlier_versions_stay_valid(override: str, name: str) -> None:
    assert stored(composed(override)) == name


def test_features_of_another_version_of_a_library_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = stored(composed("front_end=cqt"))
    monkeypatch.setattr(instantiate, "version", lambda name: "99.0")

    assert stored(composed("front_end=cqt")) != now
    assert stored(composed("front_end=log_mel")) == "fc6d85e71736f48e"


def test_clips_of_another_length_have_their_own_features() -> None:
    short = composed("data.seconds=1", "model.blocks.2.pool=[4,5]")

    assert build_front_end(short).shape == (40, 50)
    assert stored(short) != stored(composed())


def test_the_earlier_places_of_length_and_rate_are_understood() -> None:
    words = ["front_end.seconds=5", "front_end.sample_rate=22050", "front_end.f_max=11025"]
    (short,) = compose_experiments([*words, "model.blocks.2.pool=[4,50]"])

    front_end = build_front_end(short.experiment)

    assert (front_end.seconds, front_end.sample_rate, front_end.shape) == (5.0, 22_050, (40, 250))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["model=crnn_meanteacher", "front_end=log_mel", "front_end.f_max=8000"],
            r"LogMel: has no normalise; .*=amplit",
        ),
        (["front_end=amplitude_mel"], r"^front_end\._target_=dcase_sweep\.audio\.amplitude_mel\.AmplitudeMel: leaves"),
        (["data.seconds=0.02"], r"^front_end\.n_fft=2048: expected less than twice the clip's 882 samples"),
        (["data.seconds=0"], r"^data\.seconds=0: expected at least 0\.001"),
        (["data.seconds=1"], r"^model\.blocks\[2\]\.pool=\[4, 100\]: only 8 × 10 \(mel × frame\) is left"),
        (["data.seconds=long"], r"^data\.seconds: Value 'long'"),
        (["front_end=[log_mel,amplitude_mel]"], "front_end"),
    ],
)
def test_incompatible_settings_are_rejected_in_one_line(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        compose_experiments(overrides)
    assert "\n" not in str(error.value)


def of_project(project: Path, *overrides: str) -> Experiment:
    pools = "model.blocks=[{filters: 4, kernel: [1, 3], pool: [1, 5]}]"
    return composed(f"hydra.searchpath=[file://{project / 'conf'}]", pools, *overrides)


def test_a_front_end_of_ones_own_gets_rate_and_length_of_task_and_data(project: Path) -> None:
    experiment = of_project(project, "front_end=loudness", "data.seconds=5", "task.sample_rate=16000")

    front_end = build_front_end(experiment)

    assert (front_end.sample_rate, front_end.seconds, front_end.floor) == (16_000, 5.0, 1e-3)
    assert front_end(torch.full((2, 80_000), 0.5)).shape == (2, 1, 50)


def test_a_front_end_for_other_clips_is_rejected_in_one_line(project: Path) -> None:
    line = r"Speech: computes features of clips with sample_rate=16000; expected task\.sample_rate=44100"
    with pytest.raises(UserError, match=line):
        of_project(project, "front_end=speech")
    assert build_front_end(of_project(project, "front_end=speech", "task.sample_rate=16000")).shape == (1, 100)


def test_the_task_determines_how_short_recordings_are_extended() -> None:
    scenes = composed()
    events = composed("model=crnn_meanteacher")

    assert build_front_end(scenes).padding == "repeat"
    assert build_front_end(events).padding == "zeros"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["augmentation=[speed,mixup]"],
            "augmentation.speed: changes waveforms, but the training reads stored features; add front_end.store=false",
        ),
        (
            ["front_end.store=false", "framework=tensorflow"],
            "front_end.store=false: framework=tensorflow trains on stored features; choose framework=torch",
        ),
        (
            ["front_end.store=false", "hardware=mps"],
            "front_end.store=false: features are not computed on a Mac's GPU; choose hardware=cpu",
        ),
        (
            ["front_end.store=false", "front_end=pcen"],
            "front_end.store=false: dcase_sweep.audio.pcen.PCEN is not computed by PyTorch; choose front_end=log_mel",
        ),
        (["front_end.store=perhaps"], "front_end.store: "),
        (
            ["front_end.store=false", "augmentation=speed", "augmentation.speed.lowest=0.1"],
            "augmentation.speed.lowest=0.1: expected from 0.5 to 2",
        ),
        (
            ["front_end.store=false", "augmentation=device_response", "augmentation.device_response.folder=none/here"],
            "augmentation.device_response.folder=none/here: No such file or directory; expected a folder with WAV",
        ),
    ],
)
def test_what_cannot_be_computed_in_the_training_is_one_line(overrides: list[str], line: str) -> None:
    if "framework=tensorflow" in overrides:
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    with pytest.raises(UserError) as caught:
        composed(*overrides)

    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_features_of_a_training_that_computes_its_own_are_the_stored_ones_of_others() -> None:
    plain, computed = composed(), composed("front_end.store=false", "augmentation=[speed,gain,device_response,mixup]")

    assert (stores_features(plain), stores_features(computed)) == (True, False)
    assert stored(plain) == stored(computed)


def test_stored_features_are_not_mentioned_in_a_configuration() -> None:
    assert "front_end.store" not in flatten(composed("front_end.store=true"))
    assert flatten(composed("front_end.store=false"))["front_end.store"] is False
