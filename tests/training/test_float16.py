"""Probabilities in float16, against Keras' own network of that precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from dcase_sweep.config import Experiment, keyword_arguments
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.training.float16 import float16_probabilities, round_to_float16
from dcase_sweep.training.keras.library import is_installed
from dcase_sweep.training.scenes import SceneLearner
from tests.composing import composed

#: Maps of 40 × 20 and two blocks of four filters.
SMALL = (
    "data=tau2020",
    "data.root=/nowhere",
    "data.seconds=0.4",
    "model.blocks=[{filters:4,kernel:[3,3],pool:[5,5],dropout:0.3},{filters:4,kernel:[3,3],pool:[4,2],dropout:0.3}]",
    "model.units=8",
    "hardware.threads=1",
    "hardware.precision=32-true",
)


@pytest.fixture
def experiment() -> Experiment:
    return composed(*SMALL)


@pytest.fixture
def learner(experiment: Experiment) -> SceneLearner:
    """A network with non-trivial batch-normalisation statistics and different outputs for the classes."""
    rng = np.random.default_rng(0)
    recordings = tuple(SceneRecording(f"{i}.wav", ("bus", "park")[i % 2], "rome", f"rome-{i}", "a") for i in range(20))
    features = rng.normal(-5, 2, (20, 40, 20)).astype(np.float32)
    rows = np.arange(20)
    made = SceneLearner(experiment, SceneData("x", Path("."), recordings, ("bus", "park"), rows, rows, rows), features)
    made.module.train()
    with torch.no_grad():
        for parameter in made.module.parameters():
            parameter.mul_(3)
        for _ in range(30):
            made.module(torch.from_numpy(features))
    return made


def is_float16(values: NDArray[Any]) -> bool:
    return np.array_equal(values, values.astype(np.float16).astype(np.float32))


def test_weights_input_and_results_are_float16_numbers() -> None:
    seen: list[NDArray[Any]] = []
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()).eval()
    round_to_float16(network)
    for layer in network:
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().numpy()))

    result = network(torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(0)))

    assert all(is_float16(value.detach().numpy()) for value in network.state_dict().values())
    assert len(seen) == 3
    assert all(map(is_float16, seen))
    assert is_float16(result.detach().numpy())


def test_the_trained_network_stays_as_it_is(learner: SceneLearner) -> None:
    rows = learner.data.test
    before = learner.predict(rows)

    half = learner.predict_in_float16(rows)

    assert is_float16(half)
    assert np.array_equal(learner.predict(rows), before)
    assert not np.array_equal(half, before)
    np.testing.assert_allclose(half, before, rtol=0, atol=5e-3)


@pytest.mark.skipif(not is_installed(), reason="TensorFlow is not installed")
def test_keras_in_float16_predicts_the_same(
    learner: SceneLearner, experiment: Experiment, one_tensorflow_thread: None
) -> None:
    from dcase_sweep.training.keras.network import cnn
    from dcase_sweep.training.keras.weights import to_keras

    rows = learner.data.test
    network = cnn(input_shape=(40, 20), classes=2, policy="float16", **keyword_arguments(experiment.model))
    to_keras(learner.module.network.state_dict(), network)  # cast to each layer's float16
    module = learner.module
    normalised = ((torch.from_numpy(learner.features) - module.mean) / module.deviation).numpy()
    expected = np.asarray(network.predict_on_batch(normalised[..., None].astype(np.float16)), dtype=np.float32)

    found = learner.predict_in_float16(rows)

    exact = learner.predict(rows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    assert np.abs(found - expected).mean() < np.abs(exact - expected).mean() + 1e-4


def test_activations_beyond_float16_are_not_finite(learner: SceneLearner, experiment: Experiment) -> None:
    state = dict(learner.module.state_dict())
    state["network.convolutions.1.weight"] = state["network.convolutions.1.weight"] + 1e6

    found = float16_probabilities(experiment, state, learner.features, learner.data.test, classes=2)

    assert not np.isfinite(found).all()
