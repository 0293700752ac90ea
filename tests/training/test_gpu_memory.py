"""The memory of a GPU that workers share, with a GPU of 80 GiB in place of a real one."""

from types import SimpleNamespace

import pytest
import torch

from dcase_sweep.config import Hardware
from dcase_sweep.training.device import resolve_device
from dcase_sweep.training.gpu_memory import describe_share, get_free_memory, has_room, validation_batch
from dcase_sweep.training.out_of_memory import _describe_use
from dcase_sweep.utils.gpus import SHARE

GIB = 2**30
#: A quarter of the GPU, without what CUDA itself takes.
LIMIT = 20 * GIB - 600 * 2**20


class Gpu:
    """A GPU, and what this process and others use of it, bytes."""

    total = 80 * GIB
    others = 0
    allocated = 0
    reserved = 0
    fraction: float | None = None

    def limit(self, fraction: float) -> None:
        self.fraction = fraction


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    found = Gpu()
    monkeypatch.delenv(SHARE, raising=False)
    for name, function in {
        "is_available": lambda: True,
        "mem_get_info": lambda device=None: (found.total - found.others - found.reserved, found.total),
        "memory_allocated": lambda device=None: found.allocated,
        "memory_reserved": lambda device=None: found.reserved,
        "get_device_properties": lambda device: SimpleNamespace(total_memory=found.total),
        "set_per_process_memory_fraction": found.limit,
    }.items():
        monkeypatch.setattr(torch.cuda, name, function)
    return found


def test_a_worker_allocates_only_its_part(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_device(Hardware(accelerator="gpu"))
    assert gpu.fraction is None

    monkeypatch.setenv(SHARE, "0/1/4")
    resolve_device(Hardware(accelerator="gpu"))

    assert gpu.fraction == LIMIT / gpu.total
    assert describe_share("cuda") == "GPU 0 of 1, shared with 3 other workers; 19.4 GiB of its memory for each"
    assert describe_share("cpu") is None


def test_many_workers_on_a_small_gpu_keep_half_of_their_part(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, "0/1/8")
    gpu.total = 8 * GIB

    assert get_free_memory("cuda") == GIB // 2


def test_the_last_worker_has_as_much_room_as_the_first(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, "0/1/4")
    features = int(8.3 * GIB)

    assert get_free_memory("cuda") == LIMIT
    assert has_room("cuda", features)
    batch = validation_batch("cuda", 20 * 2**20, least=32)
    gpu.others = 60 * GIB
    assert has_room("cuda", features)
    assert validation_batch("cuda", 20 * 2**20, least=32) == batch == LIMIT // 4 // (20 * 2**20)
    gpu.others = 75 * GIB  # another program, which no share is for
    assert not has_room("cuda", features)


def test_features_that_fit_for_one_worker_do_not_fit_for_eight(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_room("cuda", int(8.3 * GIB))

    monkeypatch.setenv(SHARE, "0/1/8")

    assert not has_room("cuda", int(8.3 * GIB))


@pytest.mark.parametrize("share", ["", "0/1/4"])
def test_memory_that_an_earlier_trial_has_left_to_the_process_is_free(
    share: str, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARE, share)
    before = get_free_memory("cuda")

    gpu.reserved = 12 * GIB
    assert get_free_memory("cuda") == before
    gpu.allocated = 3 * GIB
    assert get_free_memory("cuda") == before - 3 * GIB


def test_too_large_a_batch_is_explained_by_the_workers_part(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, "0/1/4")

    assert _describe_use() == " in this worker's part of the GPU (19.4 GiB; 4 workers use it)"
