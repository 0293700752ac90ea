"""Dropout that draws 64 random bits at a time."""

import pytest
import torch

from dcase_sweep.ops.dropout import Dropout, DropoutMask, dropout


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_drops_the_right_fraction_and_scales_the_rest(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    count = 1_000_003  # not a whole number of words

    values = dropout(torch.ones(count, dtype=dtype), probability, training=True)

    kept = values != 0
    assert kept.double().mean().item() == pytest.approx(1 - probability, abs=0.002)
    assert values[kept].unique().item() == pytest.approx(1 / (1 - probability), rel=1e-2)
    assert values.double().mean().item() == pytest.approx(1, abs=0.006)


def test_dropped_values_are_independent_at_all_distances() -> None:
    torch.manual_seed(0)
    count = 1 << 16
    kept = (dropout(torch.ones(count), 0.5, training=True) != 0).double() - 0.5

    # These are the distances between words, bytes and planes of bits.
    for distance in (1, 2, 4, 8, 16, 32, 64, count // 64, count // 32, count // 16, count // 2):
        correlation = (kept[distance:] * kept[:-distance]).mean().item() * 4
        assert abs(correlation) < 5 / (count - distance) ** 0.5, distance


def test_every_bit_of_a_word_keeps_or_drops_one_value() -> None:
    words = torch.tensor([-1, 0], dtype=torch.int64)

    values = DropoutMask(words, 128, 2.0, True).zero_dropped_(torch.ones(128))

    assert values.sum() == 64
    one = DropoutMask(torch.tensor([1 << 62]), 64, 2.0, True).zero_dropped_(torch.ones(64))
    assert one.sum() == 1


def test_only_kept_values_get_a_gradient() -> None:
    values = torch.randn(3, 70, requires_grad=True)
    torch.manual_seed(0)

    result = dropout(values, 0.5, training=True)
    result.sum().backward()

    torch.testing.assert_close(values.grad, torch.where(result == 0, 0.0, 2.0))
    torch.testing.assert_close(result, values.detach() * values.grad)


def test_the_seed_determines_the_mask() -> None:
    layer, values = Dropout(0.5), torch.ones(5, 1000)

    def drop(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return layer(values)

    assert torch.equal(drop(1), drop(1))
    assert not torch.equal(drop(1), drop(2))


def test_values_in_any_memory_layout_keep_their_positions() -> None:
    values = torch.arange(1.0, 4001).view(40, 100).t()

    dropped = dropout(values, 0.5, training=True)

    assert torch.equal(dropped[dropped != 0], 2 * values[dropped != 0])


def test_nothing_is_dropped_outside_of_training() -> None:
    values = torch.randn(100)

    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(dropout(values, 0.0, training=True), values)
