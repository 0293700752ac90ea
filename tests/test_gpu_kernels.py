"""Kernels for GPUs that benchmarks compare with PyTorch's layers, computed by Triton's interpreter."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")

ROOT = Path(__file__).parents[1]


def check(module: str) -> Any:
    """Return what a check prints. Triton reads the variable when it is imported, so this takes a process."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", f"tests.benchmarks.kernels.{module}", "cpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_gated_blocks_equal_the_layers() -> None:
    found = check("check_gated_block")

    drops = {name: found.pop(name) for name in ("dropout 0.5", "dropout 0.3")}
    for errors in found.values():
        assert errors["float32"] < 2e-6
        assert errors["evaluation"] < 2e-6
        assert errors["bfloat16"] < 2 * errors["layers in bfloat16"]
    for name, of_blocks in drops.items():
        dropout = float(name.split()[1])
        for seen in of_blocks.values():
            assert seen["error"] < 2e-3
            assert seen["kept"] == pytest.approx(1 - dropout, abs=0.02)
            assert seen["factor"] == pytest.approx(1 / (1 - dropout), rel=1e-5)


def test_recurrent_layers_equal_the_layers() -> None:
    errors = check("check_gru")

    assert errors["float32"] < 2e-6
    assert errors["bfloat16"] < 2 * errors["layers in bfloat16"]
