"""The convolution with a fast kernel gradient, against PyTorch's."""

import pytest
import torch
from torch.nn import functional

from dcase_sweep.ops import convolution
from dcase_sweep.ops.convolution import convolve, is_faster, weight_gradient


@pytest.mark.parametrize("frames", [12, 13, 2])
@pytest.mark.parametrize("mels_of_kernel", [1, 3, 5])
def test_values_and_gradients_are_those_of_pytorch(
    frames: int, mels_of_kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "VALUES_PER_BLOCK", 2 * frames * 5 * 6)  # two clips at a time
    torch.manual_seed(0)
    maps, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in [(3, frames, 5, 4), (6, 4, 3, mels_of_kernel), (6,)]
    )

    found = convolve(maps, weight, bias)
    wanted = functional.conv2d(maps.permute(0, 3, 1, 2), weight, bias, padding="same").permute(0, 2, 3, 1)

    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(wanted)
    for one, other in zip(
        torch.autograd.grad(found, (maps, weight, bias), gradient),
        torch.autograd.grad(wanted, (maps, weight, bias), gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_float32_gradient_is_accurate() -> None:
    torch.manual_seed(0)
    maps, gradient = torch.randn(4, 156, 4, 32), torch.randn(4, 156, 4, 64)

    def by_pytorch(dtype: torch.dtype) -> torch.Tensor:
        weight = torch.zeros(64, 32, 3, 3, dtype=dtype, requires_grad=True)
        result = functional.conv2d(maps.to(dtype).permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)
        return torch.autograd.grad(result, weight, gradient.to(dtype))[0]

    exact = by_pytorch(torch.float64)
    error = (weight_gradient(maps, gradient, (64, 32, 3, 3)).double() - exact).abs().max()

    assert error < 1e-5 * exact.abs().max()


def test_is_faster_only_for_float32_maps_of_many_channels() -> None:
    weight = torch.zeros(64, 32, 3, 3)

    assert is_faster(torch.zeros(1, 8, 8, 32), weight)
    assert not is_faster(torch.zeros(1, 8, 8, 8), torch.zeros(16, 8, 3, 3))
    assert not is_faster(torch.zeros(1, 8, 8, 32), torch.zeros(64, 32, 5, 3))
    assert not is_faster(torch.zeros(1, 8, 8, 32, dtype=torch.bfloat16), weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_faster(torch.zeros(1, 8, 8, 32), weight)
