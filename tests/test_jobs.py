"""What the error of a job becomes."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcase_sweep.jobs import _run_safely
from dcase_sweep.result import Result
from dcase_sweep.runner.job import Job
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.gpus import DeviceLost, is_gpu_lost


def use_gpu(monkeypatch: pytest.MonkeyPatch, *, is_used: bool = True, error: Exception | None = None) -> None:
    """Let PyTorch have used a GPU, each call of which fails with the error from now on."""

    def synchronize() -> None:
        if error is not None:
            raise error

    cuda = SimpleNamespace(is_initialized=lambda: is_used, synchronize=synchronize)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]


LOST = RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported")


@pytest.mark.parametrize("error", [LOST, UserError("task.loss: my.Loss: CUDA error: device-side assert triggered")])
def test_a_process_that_has_lost_its_gpu_ends(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_gpu(monkeypatch, error=LOST)

    def run() -> Result:
        raise error

    with pytest.raises(DeviceLost, match=r"this process cannot use the GPU any more: .*device-side assert triggered$"):
        _run_safely(run, Job(tmp_path, {}))


def test_an_error_of_a_job_is_its_result_while_the_gpu_can_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_gpu(monkeypatch)

    def run() -> Result:
        raise ValueError("no\nmore lines")

    result = _run_safely(run, Job(tmp_path, {}))

    assert (result.status, result.error) == ("failed", "ValueError: no")


def test_a_gpu_is_lost_only_where_it_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    use_gpu(monkeypatch, is_used=False, error=LOST)
    assert not is_gpu_lost()
    monkeypatch.delitem(sys.modules, "torch")
    assert not is_gpu_lost()
