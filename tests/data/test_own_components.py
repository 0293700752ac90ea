"""Front ends and data sets of a user's own that fail, or that return what nobody can use."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dcase_sweep.config import Experiment
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.tasks.features import load_features
from dcase_sweep.utils.errors import UserError
from tests.layout import make_tau

MODULE = """
import torch


class Flat:
    shape = (40, 500)

    def __call__(self, waveforms):
        return torch.zeros(len(waveforms), 40, 500)


class Shapeless(Flat):
    shape = None


class OneMore(Flat):
    def __call__(self, waveforms):
        return torch.zeros(len(waveforms), 40, 501)


class Array(Flat):
    def __call__(self, waveforms):
        return super().__call__(waveforms).numpy()


class Infinite(Flat):
    def __call__(self, waveforms):
        return super().__call__(waveforms).log()


class Failing(Flat):
    def __call__(self, waveforms):
        raise RuntimeError("no such window")


class Unchecked:
    kind = "scenes"

    def __init__(self, *, name, root):
        self.name, self.root = name, root

    def load(self):
        raise AssertionError("not called")
"""


@pytest.fixture
def experiment_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Experiment]:
    """Compose an experiment on a tiny data set with a component of the module."""
    (tmp_path / "my_components.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_components", None)
    words = ["data=tau2020", f"data.root={make_tau(tmp_path / 'tau')}", f"store.root={tmp_path / 'store'}"]

    def compose(group: str, name: str, keys: str = "") -> Experiment:
        file = tmp_path / "conf" / group / "mine.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(f"_target_: my_components.{name}\n{keys}")
        chosen = [word for word in words if group != "data" or word.startswith("store")]
        (composed,) = compose_experiments([*chosen, f"{group}=mine"], config_dir=tmp_path / "conf")
        return composed.experiment

    return compose


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Shapeless", r"^front_end\._target_=my_components\.Shapeless: shape is None; expected \(mel, frame\)"),
        ("OneMore", r"^front_end: OneMore returned features \[1, 40, 501\]; expected \[1, 40, 500\]"),
        ("Array", r"^front_end: Array returned a ndarray; expected a tensor"),
        ("Infinite", r"^front_end: Infinite returned values of \S+\.wav that are not finite"),
        ("Failing", r"^front_end: no such window \(my_components\.Failing, my_components\.py, line \d+\)$"),
    ],
)
def test_a_front_end_that_fails_is_named(name: str, says: str, experiment_with: Callable[..., Experiment]) -> None:
    with pytest.raises(UserError, match=says):
        load_features(experiment_with("front_end", name))


def test_a_data_set_without_the_argument_of_load_is_named(experiment_with: Callable[..., Experiment]) -> None:
    experiment = experiment_with("data", "Unchecked", "name: mine\nroot: nowhere\n")

    with pytest.raises(UserError, match=r"^data: .*unexpected keyword argument 'check' \(my_components\.Unchecked\)$"):
        load_features(experiment)
