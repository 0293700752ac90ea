"""Import of TensorFlow."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dcase_sweep.training.keras.library import _limit_memory, is_installed
from dcase_sweep.utils.gpus import SHARE

#: Of TensorFlow: it allocates memory on demand where a limit is set, too.
GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


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


class TensorFlowConfig:
    """``tensorflow.config`` with two GPUs, and what was set."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.told: list[tuple[object, ...]] = []
        self.experimental = SimpleNamespace(set_memory_growth=self._tell("growth"))
        self.set_logical_device_configuration = self._tell("parts")
        self.LogicalDeviceConfiguration = dict

    def list_physical_devices(self, kind: str) -> list[str]:
        return [f"{kind}:0", f"{kind}:1"]

    def _tell(self, what: str) -> Callable[..., None]:
        def tell(*values: object) -> None:
            if self.fault is not None:
                raise self.fault
            self.told.append((what, *values))

        return tell


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with a GPU of 80 GiB of its own."""
    monkeypatch.delenv(SHARE, raising=False)
    monkeypatch.setenv(GROWTH, "")  # undone afterwards, also if it is set meanwhile
    monkeypatch.delenv(GROWTH)
    properties = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


@pytest.mark.usefixtures("alone")
def test_memory_of_a_gpu_is_allocated_on_demand() -> None:
    config = TensorFlowConfig()

    _limit_memory(config)

    assert config.told == [("growth", "GPU:0", True), ("growth", "GPU:1", True)]
    assert GROWTH not in os.environ


@pytest.mark.usefixtures("alone")
def test_a_worker_that_shares_a_gpu_has_the_limit_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TensorFlowConfig()
    monkeypatch.setenv(SHARE, "0/1/4")

    _limit_memory(config)

    part = [{"memory_limit": 20 * 1024 - 600}]  # MiB
    assert config.told == [("parts", "GPU:0", part), ("parts", "GPU:1", part)]
    assert os.environ[GROWTH] == "true"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("share", ["", "0/1/4"])
@pytest.mark.parametrize("fault", [RuntimeError("initialized"), ValueError("virtual devices configured")])
def test_a_component_that_has_set_up_tensorflow_is_left_alone(
    fault: Exception, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARE, share)

    _limit_memory(TensorFlowConfig(fault))
