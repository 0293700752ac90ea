"""A block of convolution, normalisation, ReLU and max pooling as one operation, compared with its layers."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dcase_sweep.ops import relu_block as module
from dcase_sweep.ops.relu_block import is_faster, relu_block


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips at a time, so that a batch of three has two parts, one of them shorter."""
    monkeypatch.setattr(module, "VALUES_PER_BLOCK", 2 * 16 * 11 * 16)


@pytest.fixture(params=[1, 2])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pool", [None, (5, 3), (16, 11)])
@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(16, 16, (7, 7)), (3, 4, (7, 9))])
def test_values_gradients_and_statistics_are_those_of_the_layers(
    inputs: int, outputs: int, kernel: tuple[int, int], pool: tuple[int, int] | None, training: bool
) -> None:
    convolution, norm = layers(inputs, outputs, kernel, training)
    maps = torch.randn(3, inputs, 16, 11, dtype=torch.float64, requires_grad=True)
    others = layers(inputs, outputs, kernel, training)

    found = relu_block(maps, convolution, norm, pool)

    wanted = one_by_one(maps, *others, pool)
    torch.testing.assert_close(found, wanted)
    assert norm.num_batches_tracked == others[1].num_batches_tracked
    torch.testing.assert_close(norm.running_mean, others[1].running_mean)
    torch.testing.assert_close(norm.running_var, others[1].running_var)
    gradient = torch.randn_like(wanted)
    parameters = [list(convolution.parameters()) + list(norm.parameters())]
    parameters.append(list(others[0].parameters()) + list(others[1].parameters()))
    gradients = [
        torch.autograd.grad(result, [maps, *of_layers], gradient)
        for result, of_layers in zip((found, wanted), parameters, strict=True)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("pool", [None, (8, 4)])
def test_gradients_are_those_of_differences(pool: tuple[int, int] | None) -> None:
    convolution, norm = layers(16, 16, (7, 7), training=True)
    maps = torch.randn(2, 16, 8, 4, dtype=torch.float64, requires_grad=True)

    def compute(maps: Tensor, *_: Tensor) -> Tensor:  # the parameters are changed in place
        return relu_block(maps, convolution, norm, pool)

    inputs = maps, convolution.weight, norm.weight, norm.bias
    assert torch.autograd.gradcheck(compute, inputs, fast_mode=True)


def test_running_statistics_without_momentum_are_means_of_all_batches() -> None:
    (convolution, norm), others = layers(16, 16, (7, 7), True), layers(16, 16, (7, 7), True)
    norm.momentum = others[1].momentum = None

    for _ in range(2):
        maps = torch.randn(2, 16, 8, 4, dtype=torch.float64)
        relu_block(maps, convolution, norm, None)
        one_by_one(maps, *others, None)

    torch.testing.assert_close(norm.running_mean, others[1].running_mean)
    torch.testing.assert_close(norm.running_var, others[1].running_var)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    found = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        convolution, norm = layers(16, 16, (7, 7), True, torch.float32)
        torch.manual_seed(0)
        result = relu_block(torch.randn(5, 16, 16, 11), convolution, norm, (4, 4))
        result.square().sum().backward()
        torch.set_num_threads(before)
        found.append([result.detach(), convolution.weight.grad, norm.weight.grad, norm.running_var])

    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        assert one.equal(other)


def test_it_is_faster_for_large_kernels_and_maps_in_float32() -> None:
    maps, convolution = torch.zeros(1, 16, 40, 500), nn.Conv2d(16, 16, 7, padding="same")

    assert is_faster(maps, convolution)
    assert not is_faster(maps[..., :100], convolution)
    assert not is_faster(maps, nn.Conv2d(16, 16, 3, padding="same"))
    assert not is_faster(maps.double(), convolution)
    assert not is_faster(maps.half(), nn.Conv2d(16, 16, 7, padding="same", dtype=torch.float16))
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_faster(maps, convolution)


def layers(
    inputs: int, outputs: int, kernel: tuple[int, int], training: bool, dtype: torch.dtype = torch.float64
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    torch.manual_seed(1)
    convolution = nn.Conv2d(inputs, outputs, kernel, padding="same", dtype=dtype)
    norm = nn.BatchNorm2d(outputs, dtype=dtype).train(training)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        assert tensor is not None
        nn.init.normal_(tensor)  # also negative weights
    return convolution, norm


def one_by_one(maps: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d, pool: tuple[int, int] | None) -> Tensor:
    result: Tensor = norm(convolution(maps)).relu()
    return result if pool is None else nn.functional.max_pool2d(result, pool)
