"""The network of sound event detection."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from dcase_sweep.complexity.layers import list_layers
from dcase_sweep.models.crnn import CRNN
from dcase_sweep.models.gated_block import average_pool

SMALL: dict[str, Any] = {
    "input_shape": (16, 21),
    "classes": 3,
    "filters": (4, 6, 8),
    "pools": ((2, 2), (4, 2), (2, 1)),
    "recurrent_units": 5,
}


def test_the_baselines_sizes() -> None:
    network = CRNN(input_shape=(128, 626), classes=10)

    predictions = network(torch.rand(2, 128, 626) * 2 - 1)

    assert sum(parameter.numel() for parameter in network.parameters()) == 1_112_420
    assert predictions.strong.shape == (2, 10, 156)
    assert predictions.weak.shape == (2, 10)
    assert (network.frames, network.frame_stride) == (156, 4)


def test_clips_of_another_length_pass() -> None:
    network = CRNN(**SMALL).eval()

    assert network(torch.randn(1, 16, 47)).strong.shape == (1, 3, 11)


def test_all_mel_bands_after_the_pools_enter_the_recurrent_layers() -> None:
    network = CRNN(**SMALL | {"pools": ((2, 2), (2, 2), (1, 1))})

    assert network.recurrent.input_size == 4 * 8
    assert network(torch.randn(2, 16, 21)).weak.shape == (2, 3)


def test_a_clips_probability_is_its_frames_weighted_by_attention() -> None:
    network = CRNN(**SMALL).eval()
    for head in (network.strong_head, network.attention_head):
        torch.nn.init.zeros_(head.weight)
    network.strong_head.bias.data = torch.tensor([0.0, 2.0, -2.0])

    predictions = network(torch.randn(2, 16, 21))

    expected = torch.sigmoid(torch.tensor([0.0, 2.0, -2.0])).expand(2, 3)
    torch.testing.assert_close(predictions.weak, expected)
    torch.testing.assert_close(predictions.strong, expected.unsqueeze(2).expand(2, 3, 5))


def test_attention_weights_are_at_least_1e_7() -> None:
    """A frame whose softmax is all on one class has a weight of 1e-7, not 0, for the others."""
    network = CRNN(**SMALL).eval()
    network.attention_head.bias.data = torch.tensor([100.0, 0.0, 0.0])

    predictions = network(torch.randn(1, 16, 21))

    torch.testing.assert_close(predictions.weak, predictions.strong.mean(dim=2))


def trained_once(fast_cpu: bool, features: torch.Tensor, *, mixed: bool = False) -> tuple[CRNN, Any]:
    torch.manual_seed(1)
    network = CRNN(**SMALL, dropout=0.0, fast_cpu=fast_cpu)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        predictions = network(features)
    targets = torch.rand(predictions.strong.shape, generator=torch.Generator().manual_seed(2))
    functional.binary_cross_entropy(predictions.strong, targets).backward()
    return network, predictions


def test_fast_operations_equal_the_layers_one_by_one() -> None:
    features = torch.randn(7, 16, 21, generator=torch.Generator().manual_seed(0))

    fast, predictions = trained_once(True, features)
    plain, expected = trained_once(False, features)

    torch.testing.assert_close(predictions.strong, expected.strong)
    torch.testing.assert_close(predictions.weak, expected.weak)
    for (name, parameter), reference in zip(fast.named_parameters(), plain.parameters(), strict=True):
        if reference.grad is not None:
            torch.testing.assert_close(parameter.grad, reference.grad, rtol=1e-4, atol=1e-6, msg=name)
    for (name, buffer), reference in zip(fast.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(buffer, reference, msg=name)
    for network in (fast, plain):
        network.eval()
    torch.testing.assert_close(fast(features).strong, plain(features).strong)


def test_mixed_precision_stays_close_to_single() -> None:
    features = torch.randn(7, 16, 21, generator=torch.Generator().manual_seed(0))

    mixed, predictions = trained_once(True, features, mixed=True)
    single, expected = trained_once(True, features)

    assert predictions.strong.dtype == torch.float32
    torch.testing.assert_close(predictions.strong, expected.strong, rtol=0, atol=0.01)
    for (name, parameter), reference in zip(mixed.named_parameters(), single.parameters(), strict=True):
        # A convolution's bias has no effect before batch normalisation: its gradient is rounding alone.
        if reference.grad is not None and not name.endswith("convolution.bias"):
            difference = (parameter.grad - reference.grad).norm() / reference.grad.norm()
            assert difference < 0.1, name


def test_the_seed_determines_training() -> None:
    network, features = CRNN(**SMALL), torch.randn(4, 16, 21)

    def predict(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return network(features).strong

    assert torch.equal(predict(5), predict(5))
    assert not torch.equal(predict(5), predict(6))


def test_a_silent_batch_gives_finite_gradients() -> None:
    network = CRNN(**SMALL)

    network(torch.full((3, 16, 21), -1.0)).weak.sum().backward()

    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_predicts_the_same_under_inference_mode_and_after_it() -> None:
    network, features = CRNN(**SMALL).eval(), torch.randn(40, 16, 21)

    with torch.inference_mode():
        inferred = network(features)
    again = network(features)

    torch.testing.assert_close(inferred.strong, again.strong)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_layer_counting_finds_every_block(device: str) -> None:
    with torch.device(device):
        network = CRNN(**SMALL)

    kinds = [layer.kind for layer in list_layers(network, (16, 21))]

    assert kinds == ["Conv2d", "BatchNorm2d", "Linear"] * 3 + ["BidirectionalGRU", "Linear", "Linear"]


def test_tracing_uses_the_layers_of_pytorch() -> None:
    network, features = CRNN(**SMALL).eval(), torch.randn(2, 16, 21)

    traced = torch.jit.trace(network, features, strict=False)

    torch.testing.assert_close(traced(features)[0], network(features).strong)


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        (
            {"pools": ((2, 2), (4, 2), (4, 1))},
            "pools[2]=[4, 1]: only 2 × 5 (mel × frame) is left of the map; use a smaller pool here or before, or a "
            "longer clip",
        ),
        ({"pools": ((2, 2), (4, 2))}, "pools: 2 of them for 3 filters; expected one for each block"),
        ({"pools": ((2, 2), (4, 2), (0, 1))}, "pools[2]=[0, 1]: expected [mel, frame], two positive whole numbers"),
        ({"filters": ()}, "filters=[]: expected at least one block, each of at least one channel"),
        (
            {"kernel": (3, 4)},
            "kernel=[3, 4]: expected [mel, frame], two odd sizes, so that the map keeps its size",
        ),
        ({"dropout": 1.0}, "dropout=1.0: expected a probability from 0 to below 1"),
        ({"recurrent_layers": 0}, "recurrent_layers=0: expected at least 1"),
    ],
)
def test_rejects_impossible_sizes_in_one_line(sizes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=r"expected|left") as problem:
        CRNN(**SMALL | sizes)

    assert str(problem.value) == line


def test_a_clip_that_is_too_short_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"pools\[1\]=\[4, 2\]: only 8 × 1 \(mel × frame\) is left"):
        CRNN(**SMALL)(torch.randn(1, 16, 3))


@pytest.mark.parametrize("pool", [(1, 2), (2, 2), (2, 1), (3, 2)])
def test_the_pool_of_gpus_is_the_average_pool(pool: tuple[int, int]) -> None:
    maps = torch.randn(2, 7, 5, 3, dtype=torch.float64, requires_grad=True)
    again = maps.detach().clone().requires_grad_()

    expected = functional.avg_pool2d(maps.permute(0, 3, 1, 2), pool).permute(0, 2, 3, 1)
    pooled = average_pool(again, pool)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (pooled * weights).sum().backward()

    torch.testing.assert_close(pooled, expected)
    torch.testing.assert_close(again.grad, maps.grad)
