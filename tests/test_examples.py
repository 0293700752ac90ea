"""The notebooks of ``examples/``, executed cell by cell in one folder."""

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def execute(name: str) -> dict[str, Any]:
    """Run the code of a notebook; returns its variables."""
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}.ipynb, cell {number}", "exec"), names)
    return names


def test_the_notebooks_train_predict_and_plot(
    mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCASE_SWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "Agg")

    first = execute("train_and_predict")
    second = execute("read_a_sweep")

    assert [result.status for result in first["results"]] == ["finished", "finished"]
    assert first["prediction"].label in first["model"].classes
    assert first["recording"].name in capsys.readouterr().out
    assert sorted(second["table"].index) == ["baseline_cnn", "cnn4"]
    accuracies = {result.run_id: result.metrics["test/accuracy"] for result in first["results"]}
    assert dict(zip(second["runs"]["run_id"], second["runs"]["metrics.test/accuracy"], strict=True)) == accuracies
    assert (tmp_path / "sweep.png").stat().st_size > 5_000
