"""TensorFlow Lite files: same predictions as the float network, size, and noise of each layer."""

import numpy as np
import pytest
from numpy.typing import NDArray

from dcase_sweep.export.flatbuffer import operations, stored_tensors
from dcase_sweep.export.layers import layer_noise
from dcase_sweep.export.runs import TrainedRun
from dcase_sweep.export.runtimes import LiteRTRuntime
from dcase_sweep.export.tflite import KINDS, TFLiteConverter, check_convertible
from dcase_sweep.models.cnn import CNN
from dcase_sweep.utils.errors import UserError
from tests.export.conftest import CLASSES

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")


@pytest.fixture(scope="module")
def files(run: TrainedRun, clips: NDArray[np.float32], one_tensorflow_thread: None) -> dict[str, bytes]:
    converter = TFLiteConverter(run, classes=CLASSES)
    return {kind: converter.convert(kind, clips) for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float32", 1e-5), ("float16", 1e-2), ("dynamic", 0.05), ("int8", 0.1)]
)
def test_probabilities_equal_those_of_the_float_network(
    kind: str, tolerance: float, files: dict[str, bytes], clips: NDArray[np.float32], expected: NDArray[np.float32]
) -> None:
    runtime = LiteRTRuntime(files[kind])

    scores = np.stack([runtime(clip) for clip in clips])

    assert len(set(expected.argmax(axis=1))) > 1
    np.testing.assert_allclose(scores, expected, atol=tolerance)


def test_a_network_without_a_keras_version_is_rejected(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    check_convertible(run)
    monkeypatch.delattr(CNN, "keras_twin")

    with pytest.raises(UserError, match=r"^export tflite: model CNN has no version in Keras; use export onnx$"):
        check_convertible(run)


def test_int8_reads_and_writes_int8(files: dict[str, bytes]) -> None:
    runtime = LiteRTRuntime(files["int8"])

    ends = runtime.signature
    assert ends["input"]["type"] == ends["output"]["type"] == "int8"
    assert ends["input"]["shape"] == [1, 40, 50, 1]
    assert ends["input"]["quantisation"]["scale"] > 0
    assert runtime.step == 1 / 256


def test_each_kind_is_smaller_than_the_previous_one(files: dict[str, bytes]) -> None:
    sizes = [len(files[kind]) for kind in KINDS]

    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("kind", "value_bytes"), [("float32", 4), ("float16", 2), ("int8", 1)])
def test_pruned_weights_are_stored_as_zeros(kind: str, value_bytes: int, files: dict[str, bytes]) -> None:
    tensors = {tensor.name: tensor for tensor in stored_tensors(files[kind])}

    kernel = tensors["convolutions.3/convolution"]
    pruned = -(-kernel.values // 3)
    assert kernel.shape == (16, 7, 7, 16)
    assert kernel.stored_bytes == 16 * 7 * 7 * 16 * value_bytes
    assert kernel.nonzero_bytes == (kernel.values - kernel.zeros) * value_bytes
    # int8 rounds further, small weights to zero; a float only what was pruned.
    assert kernel.zeros == pruned if kind != "int8" else pruned < kernel.zeros < 1.2 * pruned


def test_every_parameter_is_counted_and_no_shape(files: dict[str, bytes], run: TrainedRun) -> None:
    values = sum(tensor.values for tensor in stored_tensors(files["float32"]))

    # Batch normalisation is folded: of its four arrays one bias a filter is left, in place of the convolution's.
    names = [name for name in run.state if "num_batches" not in name]
    folded = sum(4 * run.state[f"network.convolutions.{place}.bias"].numel() for place in (0, 3, 8))
    assert values == sum(run.state[name].numel() for name in names) - folded


def test_the_noise_of_each_layer_is_measured(files: dict[str, bytes], clips: NDArray[np.float32]) -> None:
    layers = layer_noise(files["float32"], files["int8"], clips)

    names = [layer.name for layer in layers]
    assert [name for name in names if "convolution" in name] == ["convolution 1", "convolution 2", "convolution 3"]
    assert names[0] == "input"
    assert names[-3:] == ["dense 1", "dense 2", "softmax"]
    assert all(10 < layer.decibel < 60 for layer in layers)
    assert layers[1].lost == pytest.approx(layers[0].decibel - layers[1].decibel)


def test_without_quantisation_there_is_no_noise(files: dict[str, bytes], clips: NDArray[np.float32]) -> None:
    layers = layer_noise(files["float32"], files["float32"], clips[:2])

    assert len(layers) == len(operations(files["float32"])) + 1
    assert all(layer.decibel == float("inf") for layer in layers)
