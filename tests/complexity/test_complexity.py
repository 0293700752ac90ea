"""Sizes and limits, with the three networks whose figures were published or reported."""

import numpy as np
import pytest

from dcase_sweep.complexity.report import complexity_table
from dcase_sweep.complexity.rules import (
    DCASE_2021,
    DCASE_2022,
    DCASE_2024,
    Complexity,
    LayerComplexity,
    layer_complexity,
)


def network(blocks: list[tuple[int, tuple[int, int]]], frames: int = 500, seconds: float = 10.0) -> Complexity:
    """Build a task 1A CNN of (filters, pool [mel, frame] after the block), with 7×7 kernels, on 40 mel bands."""
    layers: list[LayerComplexity] = []
    channels, mel, time = 1, 40, frames
    for index, (filters, pool) in enumerate(blocks):
        weight, bias = np.ones((filters, channels, 7, 7)), np.ones(filters)
        layers.append(layer_complexity(f"conv{index}", "Conv2d", [weight, bias], mel * time * weight.size))
        layers.append(layer_complexity(f"norm{index}", "BatchNorm2d", [np.ones(filters)] * 4))
        channels, mel, time = filters, mel // pool[0], time // pool[1]
    for name, inputs, outputs in (("hidden", channels * mel * time, 100), ("output", 100, 10)):
        arrays = [np.ones((outputs, inputs)), np.ones(outputs)]
        layers.append(layer_complexity(name, "Linear", arrays, inputs * outputs))
    return Complexity(tuple(layers), clip_seconds=seconds)


BASELINE = network([(16, (1, 1)), (16, (5, 5)), (32, (4, 100))])
LAYER_4 = network([(16, (1, 1)), (16, (5, 5)), (16, (4, 4)), (16, (2, 5))])
LAYER_5 = network([(16, (1, 1)), (32, (5, 5)), (32, (2, 5)), (32, (2, 5)), (32, (1, 2))])


def test_baseline_has_the_size_of_the_official_table() -> None:
    assert BASELINE.parameters == 46_246
    assert sum(layer.parameters for layer in BASELINE.layers if layer.is_batch_norm) == 256
    assert BASELINE.size_bytes(16) == 93_004
    assert round(BASELINE.size_kib(16), 2) == 90.82


def test_folded_batch_normalisation_gives_the_tflite_size_of_the_official_table() -> None:
    folded = Complexity(tuple(layer for layer in BASELINE.layers if not layer.is_batch_norm))

    assert (folded.parameters, folded.size_bytes(16)) == (45_990, 91_980)


@pytest.mark.parametrize(
    ("model", "parameters", "weights_kib"),
    [(BASELINE, 46_246, 90.3), (LAYER_4, 47_846, 93.4), (LAYER_5, 191_030, 373.1)],
    ids=["baseline", "layer 4", "layer 5"],
)
def test_weights_of_two_bytes_each_have_the_reported_size(
    model: Complexity, parameters: int, weights_kib: float
) -> None:
    assert model.parameters == parameters
    assert model.size_kib(16, batch_norm_bits=None) == pytest.approx(weights_kib, abs=0.051)


def test_only_layer_5_exceeds_the_limit_of_2021() -> None:
    assert BASELINE.within_limit(DCASE_2021)
    assert LAYER_4.within_limit(DCASE_2021)
    assert not LAYER_5.within_limit(DCASE_2021)
    assert LAYER_5.exceeded() == ("DCASE 2021 task 1A: 383,212 bytes at 16 bit; at most 131,072 allowed",)


def test_batch_normalisation_keeps_four_bytes_at_every_precision() -> None:
    rest = 46_246 - 256

    assert [BASELINE.size_bytes(bits) for bits in (32, 16, 8)] == [
        4 * rest + 1024,
        2 * rest + 1024,
        rest + 1024,
    ]


def test_pruning_helps_in_2021_only() -> None:
    pruned = np.zeros(131_073, dtype=np.float32)
    pruned[:65_536] = 1
    model = Complexity((layer_complexity("conv", "Conv2d", [pruned]),))

    assert (model.parameters, model.nonzero) == (131_073, 65_536)
    assert model.size_bytes(16, nonzero_only=True) == 128 * 1024
    assert model.within_limit(DCASE_2021)
    assert model.exceeded(DCASE_2022) == ("DCASE 2022 task 1: 131,073 parameters; at most 128,000 allowed",)
    assert not model.within_limit(DCASE_2024, bits=8)


def test_baseline_needs_287_million_operations_and_is_within_the_limit_per_second() -> None:
    assert round(BASELINE.multiply_accumulates / 1e6) == 287
    assert BASELINE.within_limit(DCASE_2022)
    assert BASELINE.within_limit(DCASE_2024)


def test_convolutions_of_the_2022_baseline_have_the_operations_of_its_table() -> None:
    model = network([(16, (1, 1)), (16, (5, 5)), (32, (4, 10))], frames=51, seconds=1.0)

    operations = [layer.multiply_accumulates for layer in model.layers if layer.kind == "Conv2d"]
    assert operations == [1_599_360, 25_589_760, 2_007_040]
    assert model.within_limit(DCASE_2022)
    assert not Complexity(model.layers, clip_seconds=0.9).within_limit(DCASE_2022)


@pytest.mark.parametrize("kind", ["BatchNorm2d", "BatchNormalization", "SyncBatchNorm"])
def test_batch_normalisation_is_recognised_by_the_name_of_its_class(kind: str) -> None:
    layer = layer_complexity("norm", kind, [np.ones(16), np.zeros(16), np.zeros(16), np.ones(16)])

    assert (layer.parameters, layer.nonzero) == (64, 32)
    assert layer.size_bytes(8) == 256


def test_a_step_counter_is_rejected() -> None:
    with pytest.raises(ValueError, match="norm: a single integer is a step counter"):
        layer_complexity("norm", "BatchNorm2d", [np.ones(16), np.array(300)])


def test_an_unknown_precision_and_a_clip_without_length_are_rejected() -> None:
    with pytest.raises(ValueError, match="a parameter of 4 bits; expected 32, 16 or 8"):
        BASELINE.size_bytes(4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="clip_seconds is 0; expected more than 0"):
        Complexity((), clip_seconds=0)


def test_table_lists_layers_totals_and_rules() -> None:
    lines = complexity_table(LAYER_5).splitlines()

    assert lines[0].split("  ")[0] == "Layer"
    assert "Bytes, 32 bit  Bytes, 16 bit  Bytes, 8 bit" in lines[0]
    assert lines[2].split() == ["conv0", "Conv2d", "800", "800", "3,200", "1,600", "800", "15,680,000", "-"]
    assert lines[3].split()[:7] == ["norm0", "BatchNorm2d", "64", "64", "256", "256", "256"]
    total = next(line for line in lines if line.startswith("Total"))
    assert total.split()[1:6] == ["191,030", "191,030", "764,120", "383,212", "192,758"]
    assert "FAIL  DCASE 2021 task 1A: 383,212 bytes at 16 bit; at most 131,072 allowed" in lines


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_the_terminal(width: int) -> None:
    text = complexity_table(LAYER_5, width=width)

    assert max(map(len, text.splitlines())) <= width
    assert f"{LAYER_5.parameters:,}" in text
    assert ("not shown: " in text) == (width == 80)
