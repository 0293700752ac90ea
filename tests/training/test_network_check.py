"""Networks of the user's own that do not return what their task expects."""

from pathlib import Path

import pytest
import torch

from dcase_sweep.complexity.networks import complexity_before_training
from dcase_sweep.config import Experiment
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.training.network_check import try_event_network, try_scene_network
from dcase_sweep.utils.errors import UserError

OWN = """
import torch
from torch import nn


class Detector(nn.Module):
    kind = "events"

    def __init__(self, *, input_shape, classes, stride=2):
        super().__init__()
        self.frames, self.frame_stride = input_shape[1] // stride, stride
        self.head = nn.Linear(input_shape[0], classes)
        self.pool = nn.AvgPool1d(stride)

    def scores(self, features):
        return self.pool(self.head(features.transpose(1, 2)).transpose(1, 2))

    def forward(self, features):
        strong = torch.sigmoid(self.scores(features))
        return strong, strong.mean(2)


class OfFrames(Detector):
    def forward(self, features):
        return super().forward(features)[0]


class Turned(Detector):
    def forward(self, features):
        strong, weak = super().forward(features)
        return strong.transpose(1, 2), weak


class Logits(Detector):
    def forward(self, features):
        strong = self.scores(features)
        return strong, strong.mean(2)


class Undescribed(Detector):
    def __init__(self, **settings):
        super().__init__(**settings)
        del self.frame_stride


class Misdescribed(Detector):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.frame_stride = 8


class Broken(Detector):
    def forward(self, features):
        return self.nothing


class Fixed(nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes):
        super().__init__()
        self.classes = classes

    def forward(self, features):
        return features.mean(2)[:, : self.classes]


class Scenes(nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes, outputs="logits"):
        super().__init__()
        self.head = nn.Linear(input_shape[0], classes)
        self.outputs = outputs

    def forward(self, features):
        logits = self.head(features.transpose(1, 2))
        mean = logits.mean(1)
        outputs = {"logits": mean, "frames": logits, "pair": (mean, logits)}
        outputs |= {"softmax": mean.softmax(1), "log_softmax": mean.log_softmax(1), "sigmoid": mean.sigmoid()}
        return outputs[self.outputs]
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/model").mkdir(parents=True)


def detector(name: str) -> Experiment:
    return experiment(name, "task=4")


def experiment(name: str, *words: str) -> Experiment:
    Path("conf/model/own.yaml").write_text(f"_target_: own_networks.{name}\n")
    folder = f"hydra.searchpath=[file://{Path('conf').absolute()}]"
    return compose_experiments(["hardware.threads=1", folder, "model=own", *words])[0].experiment


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "OfFrames",
            "returned a tensor [2, 3, 313]; expected two tensors of probabilities, [2, 3, 313] (batch, ",
        ),
        (
            "Turned",
            "returned 2 values (a tensor [2, 313, 3], a tensor [2, 3]); expected two tensors",
        ),
        ("Logits", "; expected probabilities from 0 to 1, as after a sigmoid"),
        ("Undescribed", "has no frame_stride; expected the number of feature frames for each frame of the predictions"),
        ("Misdescribed", "frames=313 and frame_stride=8 are 2504 feature frames; expected about the 626 of a clip"),
    ],
)
def test_a_network_of_events_that_returns_anything_else_is_reported(name: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        try_event_network(detector(name), 3)

    assert str(caught.value).startswith(f"model._target_=own_networks.{name}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ("frames", "returned a tensor [2, 500, 10]; expected logits [2, 10] (batch, class)"),
        ("pair", "returned 2 values (a tensor [2, 10], a tensor [2, 500, 10]); expected logits [2, 10] (batch, class)"),
        ("softmax", "returned probabilities, whose sum is 1; expected logits: leave out softmax"),
    ],
)
def test_a_network_of_scenes_that_returns_anything_else_is_reported(outputs: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        try_scene_network(experiment("Scenes", f"+model.outputs={outputs}"), 10)

    assert str(caught.value) == f"model._target_=own_networks.Scenes: {says}"


def test_a_network_without_parameters_is_reported() -> None:
    with pytest.raises(UserError, match=r"Fixed: has no parameters; expected a network that can be trained"):
        try_scene_network(experiment("Fixed"), 10)


def test_networks_that_return_what_is_expected_pass_and_draw_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)

    try_event_network(detector("Detector"), 3)
    try_scene_network(experiment("Scenes"), 10)
    try_scene_network(experiment("Scenes", "+model.outputs=log_softmax"), 10)
    try_scene_network(experiment("Scenes", "+model.outputs=sigmoid"), 10)

    assert torch.equal(torch.rand(1), expected)


def test_a_network_that_fails_is_reported_with_its_line_before_data_are_read() -> None:
    with pytest.raises(UserError) as caught:
        complexity_before_training(detector("Broken"), 2)

    assert str(caught.value).startswith(
        "model: AttributeError: 'Broken' object has no attribute 'nothing' (own_networks.Broken, own_networks.py, line "
    )
    assert "\n" not in str(caught.value)
