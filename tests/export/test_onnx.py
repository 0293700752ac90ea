"""ONNX files: same predictions as the float network, any batch size, metadata."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dcase_sweep.export.network import scoring_network
from dcase_sweep.export.onnx import KINDS, OnnxConverter, as_metadata, onnx_tensors
from dcase_sweep.export.runs import TrainedRun
from dcase_sweep.export.runtimes import OnnxRuntime
from tests.export.conftest import CLASSES

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")


@pytest.fixture(scope="module")
def files(run: TrainedRun, clips: NDArray[np.float32]) -> dict[str, bytes]:
    converter = OnnxConverter(
        lambda: scoring_network(run, classes=CLASSES),
        shape=(40, 50),
        metadata=as_metadata({"run": run.id, "classes": ["bus", "park", "tram"]}),
    )
    return {kind: converter.convert(kind, clips) for kind in KINDS}


@pytest.mark.parametrize(("kind", "tolerance"), [("float32", 1e-5), ("float16", 1e-2), ("dynamic", 0.1), ("int8", 0.1)])
def test_probabilities_equal_those_of_the_float_network(
    kind: str, tolerance: float, files: dict[str, bytes], clips: NDArray[np.float32], expected: NDArray[np.float32]
) -> None:
    runtime = OnnxRuntime(files[kind])

    scores = np.stack([runtime(clip) for clip in clips])

    np.testing.assert_allclose(scores, expected, atol=tolerance)


def test_a_batch_of_any_size_is_scored_at_once(
    files: dict[str, bytes], clips: NDArray[np.float32], expected: NDArray[np.float32]
) -> None:
    session = onnxruntime.InferenceSession(files["float32"], providers=["CPUExecutionProvider"])

    (scores,) = session.run(["probabilities"], {"log_mel": clips[:5, :, :, None]})

    np.testing.assert_allclose(scores, expected[:5], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_contains_its_run_and_classes(kind: str, files: dict[str, bytes], run: TrainedRun) -> None:
    metadata = {each.key: each.value for each in onnx.load_from_string(files[kind]).metadata_props}

    assert metadata == {"run": run.id, "classes": '["bus", "park", "tram"]'}


@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin"])
def test_a_file_whose_weights_are_in_another_file_is_not_loaded(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Else a file from somebody else could name any file on this machine, whose bytes would be its weights."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    model = onnx.load_from_string(files["float32"])
    tensor = next(each for each in model.graph.initializer if list(each.dims) == [CLASSES])
    (tmp_path / "work" / place).write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, place)
    tensor.ClearField("raw_data")

    with pytest.raises(Exception, match=r"[Ee]xternal data path"):
        OnnxRuntime(model.SerializeToString())


def test_pruned_weights_are_stored_as_zeros(files: dict[str, bytes]) -> None:
    sizes = {kind: {tensor.shape: tensor for tensor in onnx_tensors(files[kind])} for kind in KINDS}

    kernels = {kind: sizes[kind][16, 16, 7, 7] for kind in KINDS}
    pruned = -(-16 * 16 * 7 * 7 // 3)
    assert {kind: kernel.value_bytes for kind, kernel in kernels.items()} == dict(zip(KINDS, (4, 2, 1, 1), strict=True))
    assert kernels["float32"].zeros == kernels["float16"].zeros == pruned
    assert all(pruned < kernels[kind].zeros < 1.2 * pruned for kind in ("dynamic", "int8"))
