"""Import of TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcase_sweep.training.keras.library import is_installed


@pytest.mark.skipif(not is_installed(), reason="TensorFlow is not installed")
def test_tensorflow_comes_without_a_word() -> None:
    command = "from dcase_sweep.training.keras.library import import_tensorflow; import_tensorflow()"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)

    assert ended.stderr == ""


def test_the_compiler_of_pytorch_comes_before_it(tmp_path: Path) -> None:
    """Triton, of PyTorch with CUDA, ends the process if it is imported after TensorFlow."""
    (tmp_path / "triton.py").write_text("import sys; assert 'tensorflow' not in sys.modules; print('triton')")
    (tmp_path / "tensorflow.py").write_text(
        "from types import SimpleNamespace; import sys; assert 'triton' in sys.modules; print('tensorflow')\n"
        "get_logger = lambda: SimpleNamespace(setLevel=print)\n"
        "config = SimpleNamespace(list_physical_devices=lambda kind: [])\n"
    )
    command = "from dcase_sweep.training.keras.library import import_tensorflow; import_tensorflow()"
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    ended = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert ended.stdout.split() == ["triton", "tensorflow", "ERROR"]
