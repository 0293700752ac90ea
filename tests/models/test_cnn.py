"""The depth-configurable CNN and its three published configurations."""

import copy
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from dcase_sweep.config.folders import conf_folder
from dcase_sweep.models import cnn
from dcase_sweep.models.cnn import CNN
from dcase_sweep.ops.can_fuse import only_layers
from dcase_sweep.ops.relu_block import relu_block


def published(name: str, **changes: Any) -> CNN:
    """The network of a file in ``conf/model``."""
    settings = yaml.safe_load((conf_folder() / "model" / f"{name}.yaml").read_text().replace("${model.dropout}", "0.3"))
    settings.pop("_target_")
    for block in settings["blocks"]:
        block["dropout"] = float(block["dropout"])
    return CNN(input_shape=(40, 500), classes=10, **{**settings, **changes})


def stored_numbers(network: nn.Module) -> int:
    """Weights and running statistics, as Keras counts parameters."""
    buffers = [b for b in network.buffers() if b.is_floating_point()]
    return sum(tensor.numel() for tensor in [*network.parameters(), *buffers])


@pytest.mark.parametrize(("name", "count"), [("baseline_cnn", 46_246), ("cnn4", 47_846), ("cnn5", 191_030)])
def test_published_sizes(name: str, count: int) -> None:
    network = published(name)

    assert stored_numbers(network) == count
    assert network(torch.zeros(2, 40, 500)).shape == (2, 10)


def test_initialisation_is_that_of_keras() -> None:
    torch.manual_seed(0)
    network = published("cnn5")
    second = network.convolutions[3]
    dense = network.head[1]

    limit = (6 / (16 * 49 + 32 * 49)) ** 0.5  # Glorot: sqrt(6 / (fan in + fan out))
    assert isinstance(second, nn.Conv2d)
    assert 0.95 * limit < second.weight.abs().max() <= limit
    assert dense.weight.abs().max() <= 0.05
    assert dense.weight.std().item() == pytest.approx(0.1 / 12**0.5, rel=0.05)
    assert not second.bias.any()


def test_batch_normalisation_is_that_of_keras() -> None:
    normalisation = published("baseline_cnn").convolutions[1]

    assert (normalisation.eps, normalisation.momentum) == (1e-3, 0.01)


def test_depth_takes_the_first_blocks_or_repeats_the_last() -> None:
    shallow, deep = published("baseline_cnn", depth=2), published("baseline_cnn", depth=5)

    def filters(network: CNN) -> list[int]:
        return [layer.out_channels for layer in network.convolutions if isinstance(layer, nn.Conv2d)]

    assert filters(shallow) == [16, 16]
    assert filters(deep) == [16, 16, 32, 32, 32]
    assert deep(torch.zeros(1, 40, 500)).shape == (1, 10)


def block(**changes: Any) -> dict[str, Any]:
    return {"filters": 4, "kernel": [3, 3], "pool": [2, 2], "dropout": 0.1, **changes}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"blocks": [block(pool=[41, 1])]}, r"blocks\[0\].pool=\[41, 1\]: only 40 × 500"),
        (
            {"blocks": [block(pool=[8, 5]), block(pool=[4, 101])]},
            r"\[4, 101\]: only 5 × 100 .* model\.blocks\.1\.pool=\[4,100\] fits",
        ),
        ({"blocks": [block(kernel=[4, 3])]}, "odd sizes"),
        ({"blocks": [block(filters=0)]}, "filters=0: expected a positive"),
        ({"blocks": [block(dropout=1.0)]}, r"dropout=1.0: expected a probability"),
        ({"blocks": [block(pool=[2])]}, r"pool=\[2\]: expected \[mel, frame\]"),
        ({"blocks": [block(poool=[2, 2])]}, "unknown key 'poool'"),
        ({"blocks": []}, "at least one block"),
        ({"blocks": [block()], "depth": 0}, "depth=0"),
        ({"blocks": [block()], "dropout": -0.1}, "dropout=-0.1"),
    ],
)
def test_rejects_what_cannot_be(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CNN(input_shape=(40, 500), classes=10, **changes)


def train_once(network: CNN, features: torch.Tensor) -> list[torch.Tensor]:
    """Logits, gradients and running statistics of a step."""
    torch.manual_seed(0)
    logits = network(features)
    logits.square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return [logits, *gradients, *network.buffers()]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("training", [True, False])
def test_blocks_as_one_operation_are_their_layers(training: bool, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    features, network = torch.randn(2, 40, 500).double(), published("cnn5", dropout=0.0).double().train(training)
    network.to(memory_format=layout)
    other = copy.deepcopy(network)

    found = train_once(network, features)

    with only_layers():
        wanted = train_once(other, features)
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-9)


def test_the_second_block_of_the_baseline_is_one_operation_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[torch.Size] = []
    monkeypatch.setattr(
        cnn, "relu_block", lambda maps, *rest: (computed.append(maps.shape), relu_block(maps, *rest))[1]
    )
    network, features = published("baseline_cnn"), torch.zeros(1, 40, 500)

    network(features)
    with torch.autocast("cpu", torch.bfloat16):
        network(features)
    network.half()(features.half())

    assert computed == [(1, 16, 40, 500)]


def test_traces_and_transformed_functions_have_pytorchs_operators() -> None:
    network, features = published("baseline_cnn").eval(), torch.randn(2, 40, 500)

    traced = torch.jit.trace(network, features)
    exported = torch.export.export(network, (features,))
    with only_layers():
        mapped = torch.func.vmap(lambda clip: network(clip.unsqueeze(0)))(features)

    assert str(traced.inlined_graph).count("aten::_convolution_mode(") == 3
    assert str(exported.graph).count("aten.conv2d") == 3
    torch.testing.assert_close(traced(features), network(features), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mapped.squeeze(1), network(features), rtol=1e-4, atol=1e-5)
