"""Differences between an export and the float network, as numbers and as a table."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dcase_sweep.export.comparison import compare, evaluate_scores
from dcase_sweep.export.flatbuffer import StoredTensor
from dcase_sweep.export.layers import LayerNoise
from dcase_sweep.export.report import Exported, describe_int8, export_table, layer_table, tensor_table

CLASSES = ("bus", "park")
TRUTH = np.array([0, 0, 1, 1])
FLOAT = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
COARSE = np.array([[1.0, 0.0], [0.4, 0.6], [0.25, 0.75], [1.0, 0.0]])
LAYERS = (LayerNoise("input", (40, 50), 40.0, 0.0), LayerNoise("convolution 1", (1, 40, 50, 16), 22.0, 18.0))


def exported(points: float | None = None) -> list[Exported]:
    truth = evaluate_scores(FLOAT, TRUTH, classes=CLASSES)
    coarse = evaluate_scores(COARSE, TRUTH, classes=CLASSES, step=1 / 256)
    weights = StoredTensor("head/MatMul", "int8", (10, 100), 1000, 250, 1)
    return [
        Exported("torch", None, (StoredTensor("head.weight", "float32", (10, 100), 1000, 200, 4),), truth, 20.0, None),
        Exported("int8", 2048, (weights,), coarse, 7.5, compare(COARSE, coarse, FLOAT, truth)),
    ]


def test_differences_equal_those_computed_by_hand() -> None:
    difference = exported()[1].difference

    assert difference is not None
    assert difference.accuracy_points == pytest.approx(-50)
    assert difference.largest == pytest.approx(0.7)
    assert difference.mean == pytest.approx((0.1 + 0.2 + 0.05 + 0.7) / 4)
    assert difference.same_decision == 0.5


def test_a_probability_of_zero_counts_as_half_a_step() -> None:
    found = evaluate_scores(COARSE, TRUTH, classes=CLASSES, step=1 / 256)

    half = 1 / 512
    assert found.log_loss > 9
    assert found.log_loss_floored == pytest.approx(
        -(math.log(1 / (1 + half)) + math.log(0.4) + math.log(0.75) + math.log(half / (1 + half))) / 4
    )
    assert evaluate_scores(FLOAT, TRUTH, classes=CLASSES).log_loss_floored == pytest.approx(
        -sum(map(math.log, (0.9, 0.6, 0.8, 0.7))) / 4
    )


def test_the_table_has_sizes_metrics_and_differences() -> None:
    text = export_table(exported(), title="tiny, tflite")

    torch_row, int8_row = (line.split() for line in text.splitlines()[4:6])
    assert text.startswith("tiny, tflite\n\nKind")
    assert torch_row == ["torch", "3.1", "100.0", "%", "0.299", "20.0"]
    assert int8_row[:6] == ["int8", "2.0", "0.7", "50.0", "%", "1.862"]
    assert int8_row[-2:] == ["50.0", "%"]
    assert "as 0 it gives int8 9." in text


def test_the_table_names_a_file_that_loses_more_than_two_points() -> None:
    torch, int8 = exported()
    assert int8.difference is not None
    kept = replace(int8, difference=replace(int8.difference, accuracy_points=-2.0))

    assert (
        "More than 2 points of accuracy are lost: int8 50.0." in export_table([torch, int8], title="tiny").splitlines()
    )
    assert "are lost" not in export_table([torch, kept], title="tiny")


def test_files_over_the_limit_are_named() -> None:
    large = StoredTensor("head", "float32", (200, 200), 40_000, 0, 4)
    found = evaluate_scores(FLOAT, TRUTH, classes=CLASSES)

    text = export_table([Exported("float32", 160_000, (large,), found, 1.0, None)], title="large")

    assert "over the 128 KB of DCASE 2021: float32." in text


def test_a_loss_names_the_layer() -> None:
    assert describe_int8(exported()[1], LAYERS) == (
        "int8 LOSES 50.0 points of accuracy; the most signal is lost at convolution 1: 18.0 dB, to 22.0 dB"
    )
    assert "convolution 1  1×40×50×16          22.0 dB    18.0 dB" in layer_table(LAYERS)


def test_every_tensor_has_its_row() -> None:
    lines = tensor_table(exported()).splitlines()

    assert lines[0] == "kind,tensor,type,shape,values,zeros,bytes,nonzero_bytes"
    assert lines[2] == "int8,head/MatMul,int8,10×100,1000,250,1000,750"


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_the_terminal(width: int) -> None:
    text = export_table(exported(), title="a network with a long name, tflite, on 1168 test clips" * 2, width=width)

    assert max(map(len, text.splitlines())) <= width
    assert "Accuracy" in text
