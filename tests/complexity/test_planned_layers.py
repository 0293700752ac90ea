"""The layers that the class of a network tells, compared with those of the built network."""

import random
from typing import Any

import pytest
import torch

from dcase_sweep.complexity import networks
from dcase_sweep.complexity.layers import list_layers
from dcase_sweep.complexity.networks import complexity_before_training, network_complexity
from dcase_sweep.config import Experiment, build_model
from dcase_sweep.config.planned import plan_layers
from dcase_sweep.models.cnn import CNN
from tests.composing import composed

SHAPE = (40, 500)


class Other(CNN):
    """A network of someone else, with another head."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(arguments["classes"]))


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the arguments of a network of any depth."""
    left = SHAPE
    blocks = []
    for _ in range(rng.randint(1, 4)):
        pool = None
        if rng.random() < 0.7:
            pool = [rng.randint(1, min(4, left[0])), rng.randint(1, min(9, left[1]))]
            left = left[0] // pool[0], left[1] // pool[1]
        kernel = rng.choice([3, [5, 3], [1, 7]])
        block = {"filters": rng.choice([1, 3, 8]), "kernel": kernel, "pool": pool, "dropout": rng.choice([0, 0.0, 0.3])}
        blocks.append({name: value for name, value in block.items() if value is not None or rng.random() < 0.5})
    return {"blocks": blocks, "depth": rng.choice([None, 1, 2, 6]), "units": rng.choice([1, 20]), "dropout": 0.1}


def summarize(layers: Any) -> list[tuple[Any, ...]]:
    return [
        (
            each.name,
            each.kind,
            sum(array.size for array in each.arrays) if hasattr(each, "arrays") else each.parameters,
            each.multiply_accumulates,
            each.live_activations,
        )
        for each in layers
    ]


@pytest.mark.parametrize("seed", range(12))
def test_a_cnn_tells_the_layers_that_a_trace_finds(seed: int) -> None:
    rng = random.Random(seed)
    arguments, statistics = draw(rng), rng.random() < 0.5
    with torch.device("meta"):
        network = CNN(input_shape=SHAPE, classes=10, **arguments)

    planned = CNN.plan_layers(input_shape=SHAPE, classes=10, statistics=statistics, **arguments)

    assert summarize(planned) == summarize(list_layers(network, SHAPE, statistics=statistics))


def test_the_weights_of_planned_layers_are_those_of_the_network() -> None:
    arguments = draw(random.Random(0))
    network = CNN(input_shape=SHAPE, classes=10, **arguments)
    torch.nn.init.zeros_(next(network.parameters()))
    network.forward = None  # type: ignore[assignment,method-assign]

    layers = list_layers(network, SHAPE, planned=CNN.plan_layers(input_shape=SHAPE, classes=10, **arguments))

    assert [bool(array.any()) for array in layers[0].arrays] == [False, False]
    assert sum(array.size for layer in layers for array in layer.arrays) == sum(
        each.numel() for each in network.state_dict().values() if each.is_floating_point()
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"units": 0},
        {"dropout": 1.0},
        {"depth": 0},
        {"blocks": []},
        {"blocks": [{"filters": 8, "kernel": [2, 3]}]},
        {"blocks": [{"filters": 8, "kernel": [3, 3], "dropout": -0.1}]},
        {"blocks": [{"filters": 8, "kernel": [3, 3], "pool": [20, 2]}, {"filters": 8, "kernel": 3, "pool": [3, 1]}]},
    ],
    ids=str,
)
def test_a_plan_rejects_what_the_constructor_rejects(bad: dict[str, Any]) -> None:
    arguments = {"input_shape": SHAPE, "classes": 10, "blocks": [{"filters": 8, "kernel": [3, 3]}]} | bad

    def describe(call: Any) -> str:
        try:
            call(**arguments)
        except ValueError as error:
            return str(error)
        return "accepted"

    assert describe(CNN.plan_layers) == describe(CNN) != "accepted"


def test_a_plan_that_does_not_fit_the_network_is_not_used() -> None:
    arguments = draw(random.Random(0))
    network = CNN(input_shape=SHAPE, classes=10, **arguments)
    other = CNN.plan_layers(input_shape=SHAPE, classes=11, **arguments)

    assert summarize(list_layers(network, SHAPE, planned=other)) == summarize(list_layers(network, SHAPE))


@pytest.fixture
def experiment() -> Experiment:
    networks._latest.clear()
    return composed("data=demo", "model.depth=2")


def test_a_network_is_counted_without_being_built(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = network_complexity(build_model(experiment, classes=10, device="meta"), experiment)
    monkeypatch.setattr(networks, "build_model", None)

    assert complexity_before_training(experiment, 10) == expected


def test_a_class_that_inherits_from_another_one_is_built(experiment: Experiment) -> None:
    experiment.model._target_ = f"{__name__}.Other"
    Other.__module__ = __name__

    assert plan_layers(experiment, 10) is None
