"""Networks of a user's own that fail, or whose outputs no task can use."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dcase_sweep.complexity.networks import complexity_before_training
from dcase_sweep.complexity.outputs import check_outputs
from dcase_sweep.config import Experiment, build_model
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError

MODULE = """
from torch import nn


class Mean(nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], classes)

    def forward(self, features):
        return self.layer(features.mean(2))


class EachFrame(Mean):
    def forward(self, features):
        return self.layer(features.transpose(1, 2))


class Pair(Mean):
    def forward(self, features):
        return super().forward(features), None


class Failing(Mean):
    def forward(self, features):
        raise KeyError("gain")


class Fixed(nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes):
        super().__init__()
        self.classes = classes

    def forward(self, features):
        return features.mean(2)[:, : self.classes]
"""


@pytest.fixture
def experiment_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Experiment]:
    """Compose an experiment with a network by the name of its class."""
    (tmp_path / "my_networks.py").write_text(MODULE)
    (tmp_path / "conf/model").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_networks", None)

    def compose(name: str) -> Experiment:
        (tmp_path / f"conf/model/{name}.yaml").write_text(f"_target_: my_networks.{name}\n")
        (composed,) = compose_experiments([f"model={name}"], config_dir=tmp_path / "conf")
        return composed.experiment

    return compose


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "EachFrame",
            r"model\._target_=my_networks\.EachFrame: returned \[2, 500, 2\] for two clips; expected logits \[",
        ),
        (
            "Pair",
            r"model\._target_=my_networks\.Pair: returned a tuple for two clips; expected logits \[batch, class\]",
        ),
        ("Failing", r"model: KeyError: 'gain' \(my_networks\.Failing, my_networks\.py, line \d+\)"),
        ("Fixed", r"model\._target_=my_networks\.Fixed: has no parameters; expected a network that can be trained"),
    ],
)
def test_a_network_that_cannot_be_trained_is_named_before_any_data_are_read(
    name: str, says: str, experiment_of: Callable[[str], Experiment]
) -> None:
    experiment = experiment_of(name)

    with pytest.raises(UserError) as caught:
        complexity_before_training(experiment, 2)

    assert re.match(says, str(caught.value))
    assert "\n" not in str(caught.value)


def test_the_number_of_classes_is_checked_when_the_data_are_known(experiment_of: Callable[[str], Experiment]) -> None:
    experiment = experiment_of("Mean")
    network = build_model(experiment, classes=10)

    check_outputs(network, experiment, 10)
    assert network.training
    with pytest.raises(UserError, match=r"returned \[2, 10\] for two clips; expected logits \[batch, 3"):
        check_outputs(network, experiment, 3)
