"""The first block as one operation, compared with PyTorch's layers."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from dcase_sweep.models.gated_block import GatedBlock
from dcase_sweep.ops import first_block, patches
from dcase_sweep.ops.patches import Moments, Patches, measure


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some frames of a clip at a time, so that each clip has several parts and the last of them is shorter."""
    monkeypatch.setattr(first_block, "VALUES_PER_BLOCK", 4 * 11 * 5)


def block(pool: tuple[int, int] = (2, 2), dropout: float = 0.0) -> GatedBlock:
    torch.manual_seed(0)
    made = GatedBlock(1, 5, kernel=(3, 5), pool=pool, dropout=dropout, norm_epsilon=1e-3, norm_momentum=0.9).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return made


def spectrograms() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, 17, 11, 1).double() + 0.5


@pytest.mark.parametrize("pool", [(2, 2), (1, 3), (1, 1)])
@pytest.mark.parametrize("in_training", [True, False])
def test_values_gradients_and_running_statistics_equal_those_of_the_layers(
    pool: tuple[int, int], in_training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = block(pool).train(in_training)
    layers = deepcopy(fused)
    layers.fast_cpu = False
    operation = first_block.convolve_normalise_gate_pool
    used = []
    monkeypatch.setattr(first_block, "convolve_normalise_gate_pool", lambda *given: used.append(1) or operation(*given))

    found, wanted = fused(spectrograms()), layers(spectrograms())

    assert used == [1]
    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    wanted.backward(gradient)
    for (name, one), other in zip(fused.named_parameters(), layers.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    for (name, one), other in zip(fused.named_buffers(), layers.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_the_gradient_with_dropout_equals_a_numerical_one() -> None:
    dropping = block(dropout=0.5)
    parameters = [parameter for name, parameter in dropping.named_parameters()]
    gate = dropping.gate.weight

    def loss() -> Tensor:
        torch.manual_seed(2)
        return dropping(spectrograms()).square().sum()

    loss().backward()

    for parameter in [gate, dropping.convolution.weight, dropping.norm.weight]:
        assert any(parameter is each for each in parameters)
        assert parameter.grad is not None
        step = torch.randn_like(parameter) * 1e-6
        with torch.no_grad():
            parameter += step
            above = loss()
            parameter -= 2 * step
            below = loss()
            parameter += step
        torch.testing.assert_close((above - below) / 2, (parameter.grad * step).sum(), rtol=1e-5, atol=0)


def test_statistics_equal_those_of_the_convolved_maps() -> None:
    maps, made = spectrograms() * 3 + 10, block()
    weight, bias = made.convolution.weight.detach(), made.convolution.bias.detach()
    convolved = made.convolution(maps.permute(0, 3, 1, 2)).detach()

    statistics = Moments.compute(Patches.extract(maps.squeeze(3), (5, 3))).statistics(weight, bias)

    torch.testing.assert_close(statistics.mean, convolved.mean((0, 2, 3)))
    torch.testing.assert_close(statistics.variance, convolved.var((0, 2, 3), correction=0))
    assert statistics.count == convolved[:, 0].numel()


def test_a_spectrogram_gets_a_gradient_if_it_requires_one() -> None:
    maps, made = spectrograms().requires_grad_(), block()

    made(maps).sum().backward()

    assert maps.grad is not None
    assert maps.grad.abs().sum() > 0


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()

    def run(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        made = block(dropout=0.5)
        torch.manual_seed(2)
        result = made(spectrograms())
        return [result, *torch.autograd.grad(result.sum(), list(made.parameters()))]

    try:
        alone, together = run(1), run(3)
    finally:
        torch.set_num_threads(before)

    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_the_patches_of_one_batch_are_measured_once_for_two_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    compute, batches = Moments.compute, []
    monkeypatch.setattr(patches, "_measured", None)
    monkeypatch.setattr(Moments, "compute", lambda given: batches.append(len(batches)) or compute(given))
    batch = spectrograms().squeeze(3)

    first = measure(Patches.extract(batch, (3, 5)))
    again = measure(Patches.extract(batch.clone(), (3, 5)))
    measure(Patches.extract(batch, (3, 5)))
    batch[2, 16, 10] += 1
    other = measure(Patches.extract(batch, (3, 5)))
    wider = measure(Patches.extract(batch, (5, 5)))

    assert again is first
    assert batches == [0, 1, 2, 3]
    torch.testing.assert_close(other.products, compute(Patches.extract(batch, (3, 5))).products)
    assert len(wider.sums) == 25
