"""Export of a trained run through the real command line."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.integration.test_experiment import client, run_folder

Tiny = Callable[..., list[str]]


@pytest.fixture(scope="module")
def trained(command_line: CommandLine, tiny: Tiny) -> str:
    return command_line(*tiny("training.epochs=3"))


def test_a_run_is_exported_by_its_id_and_holds_files_and_figures(command_line: CommandLine, trained: str) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    run_id = re.search(r"^run .* · (\w{32}) · ", trained, re.MULTILINE)
    assert run_id

    output = command_line(
        "export", "tflite", f"run={run_id[1]}", "calibration=8", f"data.root={command_line.folder}/tau"
    )

    rows = re.findall(r"^(torch|float32|float16|dynamic|int8) .*(?:\d|%)$", output, re.MULTILINE)
    assert rows == ["torch", "float32", "float16", "dynamic", "int8"]
    assert re.search(r"^int8 (keeps|LOSES) .* the most signal is lost at \w+", output, re.MULTILINE)
    assert not re.search(r"WARNING|INFO|XNNPACK|Traceback|W0000|I0000", output)
    folder = command_line.folder / "exports" / run_id[1] / "tflite"
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["classes"] == ["bus", "park", "tram"]
    assert metadata["front_end"]["n_mels"] == 40
    assert metadata["files"]["int8.tflite"]["input"]["type"] == "int8"
    store, _ = client(command_line.folder)
    run = store.get_run(run_id[1])  # type: ignore[attr-defined]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["export/tflite/float32/accuracy"] == pytest.approx(run.data.metrics["test/accuracy"])
    _predict_alike(command_line, run_id[1], folder / "float32.tflite")
    artifacts = {item.path for item in store.list_artifacts(run_id[1], "export/tflite")}  # type: ignore[attr-defined]
    assert {f"export/tflite/{path.name}" for path in folder.iterdir()} == artifacts
    with (folder / "tensors.csv").open() as handle:
        stored = sum(int(row["nonzero_bytes"]) for row in csv.DictReader(handle) if row["kind"] == "int8")
    assert run.data.metrics["export/tflite/int8/nonzero_kib"] == pytest.approx(stored / 1024)


def test_a_run_is_exported_by_its_folder(command_line: CommandLine, trained: str) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    folder = run_folder(trained, command_line.folder)
    (folder / "export/onnx").mkdir(parents=True)
    (folder / "export/onnx/diary.txt").write_text("not of the export")

    output = command_line("export", "onnx", f"run={folder}", "calibration=8", f"data.root={command_line.folder}/tau")

    written = {f"{kind}.onnx" for kind in ("float32", "float16", "dynamic", "int8")}
    written |= {"table.txt", "tensors.csv", "measured.json", "metadata.json"}
    assert {path.name for path in (folder / "export/onnx").iterdir()} == written | {"diary.txt"}
    store, run = client(command_line.folder)[0], re.search(r"^run .* · (\w{32}) · export", output, re.MULTILINE)
    assert run
    artifacts = store.list_artifacts(run[1], "export/onnx")  # type: ignore[attr-defined]
    assert {Path(item.path).name for item in artifacts} == written
    _predict_alike(command_line, str(folder), folder / "export/onnx/float32.onnx")
    measured = json.loads((folder / "export/onnx/measured.json").read_text())["files"]
    assert measured["float32"]["difference_from_float"]["largest"] < 1e-5
    assert re.search(r"^run +\S.* · \w{32} · export/onnx$", output, re.MULTILINE)


def _predict_alike(command_line: CommandLine, run: str, exported: Path) -> None:
    """An exported file gives the same predictions as its network."""
    tables = []
    for which in (run, str(exported)):
        command_line("predict", which, "tau/audio", "-o", "predicted.csv")
        tables.append(list(csv.DictReader((command_line.folder / "predicted.csv").open(encoding="utf-8"))))
    assert len(tables[0]) == len(tables[1]) > 10
    for ours, theirs in zip(*tables, strict=True):
        assert ours["scene_label"] == theirs["scene_label"]
        assert float(ours["bus"]) == pytest.approx(float(theirs["bus"]), abs=1e-4)
