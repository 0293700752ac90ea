"""Tests of this project: python -m pytest, in its folder."""

from pathlib import Path

import torch
from my_project.data import Recordings
from my_project.model import SmallCNN

from dcase_sweep.config.compose import compose_experiments

PROJECT = Path(__file__).resolve().parents[1]


def test_the_network_has_a_logit_for_each_class() -> None:
    network = SmallCNN(input_shape=(40, 50), classes=3, width=4, dropout=0.0)

    assert network(torch.zeros(2, 40, 50)).shape == (2, 3)


def test_each_recording_is_in_one_split() -> None:
    data = Recordings(name="recordings", root=str(PROJECT / "recordings")).load()

    split = [*data.train, *data.validation, *data.test]
    assert sorted(split) == list(range(len(data.recordings)))
    assert min(len(data.train), len(data.validation), len(data.test)) > 0


def test_the_experiment_is_composed_of_this_project() -> None:
    root = f"data.root={PROJECT / 'recordings'}"
    (composed,) = compose_experiments(["+experiment=first", root], PROJECT / "conf")

    assert composed.experiment.model._target_ == "my_project.model.SmallCNN"
