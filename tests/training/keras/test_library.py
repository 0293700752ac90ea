"""Import of TensorFlow."""

import subprocess
import sys

import pytest

from dcase_sweep.training.keras.library import is_installed


@pytest.mark.skipif(not is_installed(), reason="TensorFlow is not installed")
def test_tensorflow_comes_without_a_word() -> None:
    command = "from dcase_sweep.training.keras.library import import_tensorflow; import_tensorflow()"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)

    assert ended.stderr == ""
