"""The layers after a convolution as one operation, compared with PyTorch's."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.ops import fused_gate, statistics
from dcase_sweep.ops.fused_gate import Block, normalise_gate_pool
from dcase_sweep.ops.statistics import Statistics, batch_statistics

CHANNELS = 3
FIXED = Statistics(torch.full((CHANNELS,), 0.3).double(), torch.full((CHANNELS,), 2.0).double(), 1, False)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips at a time, so that a batch of five has three parts, one of them shorter."""
    monkeypatch.setattr(fused_gate, "VALUES_PER_BLOCK", 2 * 7 * 5 * CHANNELS)
    monkeypatch.setattr(statistics, "VALUES_PER_SUM", 2 * 7 * 5 * CHANNELS)


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def one_by_one(inputs: list[Tensor], pool: tuple[int, int], *, of_batch: bool) -> Tensor:
    maps, weight, bias, gate_weight, gate_bias = inputs
    mean, variance = FIXED.mean.clone(), FIXED.variance.clone()
    normalised = functional.batch_norm(maps.permute(0, 3, 1, 2), mean, variance, weight, bias, of_batch, 0.0, 1e-3)
    normalised = normalised.permute(0, 2, 3, 1)
    gated = functional.linear(normalised, gate_weight, gate_bias) * torch.sigmoid(normalised)
    return functional.avg_pool2d(gated.permute(0, 3, 1, 2), pool).permute(0, 2, 3, 1)


def fused(inputs: list[Tensor], pool: tuple[int, int], *, of_batch: bool, dropout: float = 0.0) -> Tensor:
    maps, *parameters = inputs
    measured = batch_statistics(maps.detach()) if of_batch else FIXED
    return normalise_gate_pool(maps, Block(*parameters, 1e-3, pool, dropout), measured)


SHAPES = [(5, 7, 5, CHANNELS), (CHANNELS,), (CHANNELS,), (CHANNELS, CHANNELS), (CHANNELS,)]


@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (1, 2), (3, 1)])
@pytest.mark.parametrize("of_batch", [True, False])
def test_values_and_gradients_are_those_of_the_layers(pool: tuple[int, int], of_batch: bool) -> None:
    inputs = tensors(*SHAPES)

    result = fused(inputs, pool, of_batch=of_batch)
    expected = one_by_one(inputs, pool, of_batch=of_batch)

    torch.testing.assert_close(result, expected)
    gradient = torch.randn_like(result)
    found = torch.autograd.grad(result, inputs, gradient)
    wanted = torch.autograd.grad(expected, inputs, gradient)
    for name, one, other in zip(("maps", "weight", "bias", "gate weight", "gate bias"), found, wanted, strict=True):
        torch.testing.assert_close(one, other, msg=name)


@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_the_gradient_with_dropout_equals_a_numerical_one(probability: float) -> None:
    def drop(*inputs: Tensor) -> Tensor:
        torch.manual_seed(1)
        return fused(list(inputs), (2, 2), of_batch=True, dropout=probability)

    assert torch.autograd.gradcheck(drop, tensors((3, 4, 4, CHANNELS), *SHAPES[1:]))


def test_dropout_keeps_the_mean_and_can_drop_every_value() -> None:
    torch.manual_seed(0)
    inputs = tensors(*SHAPES)
    expected = fused(inputs, (1, 1), of_batch=True)

    draws = torch.stack([fused(inputs, (1, 1), of_batch=True, dropout=0.5).detach() for _ in range(2000)])

    # The mean of n draws of 0 or 2v is v, with a standard deviation of v / sqrt(n).
    assert ((draws.mean(0) - expected) / expected).abs().max() < 6 / 2000**0.5
    assert ((draws == 0).double().mean(0) - 0.5).abs().max() < 6 * 0.5 / 2000**0.5


def test_statistics_cover_all_parts_of_the_batch() -> None:
    maps = torch.randn(5, 7, 5, CHANNELS) * 3 + 10

    measured = batch_statistics(maps)

    flat = maps.double().view(-1, CHANNELS)
    torch.testing.assert_close(measured.mean.double(), flat.mean(0))
    torch.testing.assert_close(measured.variance.double(), flat.var(0, correction=0), rtol=1e-5, atol=0)
    assert measured.count == 5 * 7 * 5


def test_bfloat16_input_gives_bfloat16_output() -> None:
    inputs = [tensor.detach().to(torch.bfloat16) for tensor in tensors(*SHAPES)]

    result = fused(inputs, (2, 2), of_batch=True)

    assert result.dtype == torch.bfloat16
    expected = one_by_one([tensor.double() for tensor in inputs], (2, 2), of_batch=True)
    torch.testing.assert_close(result.double(), expected, rtol=0.03, atol=0.03)


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    inputs = tensors(*SHAPES)
    before = torch.get_num_threads()

    def run(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        torch.manual_seed(2)
        result = fused(inputs, (2, 2), of_batch=True, dropout=0.5)
        return [result, *torch.autograd.grad(result.sum(), inputs)]

    try:
        alone, together = run(1), run(3)
    finally:
        torch.set_num_threads(before)

    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
