"""The convolution in tiles and with the statistics of its result, compared with PyTorch's."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.ops import convolution
from dcase_sweep.ops.convolution import convolve, is_faster, multiply_tiles, weight_gradient
from dcase_sweep.ops.statistics import batch_statistics


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips at a time, so that a batch of three has two parts, one of them shorter."""
    monkeypatch.setattr(convolution, "VALUES_PER_BLOCK", 2 * 13 * 5 * 6)


@pytest.mark.parametrize("in_tiles", [True, False])
@pytest.mark.parametrize(("frames", "mels"), [(12, 4), (13, 5), (6, 7), (5, 2), (2, 1)])
def test_values_and_gradients_are_those_of_pytorch(
    in_tiles: bool, frames: int, mels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "LEAST_CHANNELS", 4 if in_tiles else 5)
    maps, weight, bias = tensors((3, frames, mels, 4), (6, 4, 3, 3), (6,))

    found, statistics = convolve(maps, weight, bias, measure=True)

    wanted = by_pytorch(maps, weight)
    torch.testing.assert_close(found, wanted)
    check_gradients(found, wanted, (maps, weight))
    measured = batch_statistics(wanted.detach())
    assert statistics is not None
    torch.testing.assert_close(statistics.mean, measured.mean)
    torch.testing.assert_close(statistics.variance, measured.variance)
    assert (statistics.count, statistics.are_of_batch) == (3 * frames * mels, True)


@pytest.mark.parametrize("kernel", [(3, 1), (5, 3), (1, 5)])
def test_other_kernels_are_measured_too(kernel: tuple[int, int]) -> None:
    maps, weight, bias = tensors((3, 7, 5, 4), (6, 4, *kernel), (6,))

    found, statistics = convolve(maps, weight, bias, measure=True)

    wanted = by_pytorch(maps, weight)
    torch.testing.assert_close(found, wanted)
    check_gradients(found, wanted, (maps, weight))
    assert statistics is not None
    torch.testing.assert_close(statistics.variance, batch_statistics(wanted.detach()).variance)


def test_nothing_is_measured_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "LEAST_CHANNELS", 4)
    maps, weight, bias = tensors((3, 8, 4, 4), (6, 4, 3, 3), (6,))

    found, statistics = convolve(maps.detach(), weight, bias, measure=False)

    torch.testing.assert_close(found, by_pytorch(maps, weight))
    assert statistics is None
    (for_weight,) = torch.autograd.grad(found.sum(), (weight,))
    torch.testing.assert_close(for_weight, torch.autograd.grad(by_pytorch(maps, weight).sum(), (weight,))[0])


@pytest.mark.parametrize("in_tiles", [True, False])
def test_the_bias_has_a_gradient_unless_the_batch_is_normalised(
    in_tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "LEAST_CHANNELS", 4 if in_tiles else 5)
    maps, weight, bias = tensors((3, 8, 4, 4), (6, 4, 3, 3), (6,))

    for_bias = {}
    for measure in (True, False):
        found, _ = convolve(maps, weight, bias, measure=measure)
        (for_bias[measure],) = torch.autograd.grad(found, (bias,), torch.ones_like(found))

    assert for_bias[True].tolist() == [0] * 6
    assert for_bias[False].tolist() == [3 * 8 * 4] * 6


@pytest.mark.parametrize("mels", [2, 4])
def test_float32_tiles_are_as_accurate_as_pytorch(mels: int) -> None:
    torch.manual_seed(0)
    maps, gradient, weight = torch.randn(4, 156, mels, 32), torch.randn(4, 156, mels, 64), torch.randn(64, 32, 3, 3)

    def compute(dtype: torch.dtype) -> list[Tensor]:
        kernel = weight.to(dtype).requires_grad_()
        result = by_pytorch(maps.to(dtype), kernel)
        return [result.detach(), torch.autograd.grad(result, kernel, gradient.to(dtype))[0]]

    found = [multiply_tiles(maps, weight)[0], weight_gradient(maps, gradient)]

    for here, exact in zip(found, compute(torch.float64), strict=True):
        assert (here.double() - exact).abs().max() < 5e-6 * exact.abs().max()


def test_is_faster_only_for_float32_maps_that_are_measured_or_have_many_channels() -> None:
    maps, weight = torch.zeros(1, 8, 8, 32), torch.zeros(64, 32, 3, 3)

    assert is_faster(maps, weight, measure=False)
    assert not is_faster(torch.zeros(1, 8, 8, 8), torch.zeros(16, 8, 3, 3), measure=False)
    assert is_faster(torch.zeros(1, 8, 8, 8), torch.zeros(16, 8, 3, 3), measure=True)
    assert not is_faster(maps, torch.zeros(64, 32, 5, 3), measure=False)
    assert not is_faster(maps.bfloat16(), weight, measure=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_faster(maps, weight, measure=True)


def tensors(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)


def by_pytorch(maps: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(maps.permute(0, 3, 1, 2), weight, padding="same").permute(0, 2, 3, 1)


def check_gradients(found: Tensor, wanted: Tensor, inputs: tuple[Tensor, ...]) -> None:
    gradient = torch.randn_like(wanted)
    for one, other in zip(
        torch.autograd.grad(found, inputs, gradient), torch.autograd.grad(wanted, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(one, other)
