"""The convolution in tiles of mel bands, compared with PyTorch's."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dcase_sweep.ops.mel_tiles import TiledKernel, convolve, differentiate, is_worthwhile, shapes_for_gradient


@pytest.mark.parametrize("mels", [1, 7, 8, 13, 21])
@pytest.mark.parametrize("frames", [1, 9])
def test_values_and_gradients_are_those_of_pytorch(mels: int, frames: int) -> None:
    maps, weight, gradient = tensors((2, mels, frames, 3), (4, 3, 7, 5), (2, mels, frames, 4))

    found = by_tiles(maps, weight, gradient)

    for here, wanted in zip(found, by_pytorch(maps, weight, gradient), strict=True):
        torch.testing.assert_close(here, wanted)


def test_the_gradient_of_the_kernel_is_that_of_both_gradients() -> None:
    maps, weight, gradient = tensors((2, 9, 6, 3), (4, 3, 7, 7), (2, 9, 6, 4))
    kernel = TiledKernel(weight, 9, 6)

    sums = differentiate(maps, gradient, kernel, None, memory(maps, kernel))

    torch.testing.assert_close(kernel.gradient(sums), by_pytorch(maps, weight, gradient)[2])


def test_float32_errors_are_at_most_three_times_those_of_pytorch() -> None:
    torch.manual_seed(0)
    maps, weight = torch.randn(1, 40, 100, 16).relu(), (torch.rand(16, 16, 7, 7) - 0.5) / 10
    gradient = torch.randn(1, 40, 100, 16)
    exact = by_pytorch(maps.double(), weight.double(), gradient.double())

    direct, tiled = by_pytorch(maps, weight, gradient), by_tiles(maps, weight, gradient)

    for wanted, one, other in zip(exact, direct, tiled, strict=True):
        assert (other - wanted).square().mean().sqrt() < 3 * (one - wanted).square().mean().sqrt()


def test_only_kernels_of_seven_between_many_channels_are_worthwhile() -> None:
    assert is_worthwhile(torch.zeros(16, 16, 7, 7), 40, 500)
    assert is_worthwhile(torch.zeros(32, 16, 7, 7), 8, 250)
    assert not is_worthwhile(torch.zeros(32, 16, 7, 7), 8, 100)
    assert not is_worthwhile(torch.zeros(16, 16, 7, 7), 9, 500)  # two tiles
    assert not is_worthwhile(torch.zeros(16, 1, 7, 7), 40, 500)
    assert not is_worthwhile(torch.zeros(24, 16, 7, 7), 40, 500)
    assert not is_worthwhile(torch.zeros(16, 16, 5, 5), 40, 500)
    assert not is_worthwhile(torch.zeros(16, 16, 7, 3), 40, 500)


def tensors(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)


def memory(maps: Tensor, kernel: TiledKernel) -> list[Tensor]:
    shapes = shapes_for_gradient(len(maps), maps.shape[2], kernel)
    return [torch.full(tuple(shape), torch.nan, dtype=maps.dtype) for shape in shapes]


def by_tiles(maps: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    kernel = TiledKernel(weight, maps.shape[1], maps.shape[2])
    result, for_maps = torch.empty_like(gradient), torch.empty_like(maps)
    convolve(maps, kernel, result)
    sums = differentiate(maps, gradient, kernel, for_maps, memory(maps, kernel))
    return result, for_maps, kernel.gradient(sums).to(maps.dtype)


def by_pytorch(maps: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
    maps, weight = maps.clone().requires_grad_(), weight.clone().requires_grad_()
    result = functional.conv2d(maps.permute(0, 3, 1, 2), weight, padding="same").permute(0, 2, 3, 1)
    return result.detach(), *torch.autograd.grad(result, (maps, weight), gradient)
