"""The meaning of ``auto`` in the group ``hardware`` on each device."""

import pytest
import torch

from dcase_sweep.config import Hardware
from dcase_sweep.training.device import front_end_device, resolve_device, resolve_precision, use_threads
from dcase_sweep.utils.errors import UserError


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_that_only_emulates_bfloat16_trains_in_float16(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)

    assert resolve_precision(Hardware(accelerator="gpu", precision="auto")) == expected


def test_a_cpu_unknown_to_pytorch_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)

    assert resolve_precision(Hardware(accelerator="cpu", precision="auto")) == "32-true"


@pytest.mark.skipif(not torch.amp.is_autocast_available("mps"), reason="PyTorch is older than 2.5")
def test_a_mac_trains_in_float32_with_features_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    hardware = Hardware(accelerator="mps", precision="auto")

    device = resolve_device(hardware)

    assert (device, resolve_precision(hardware)) == ("mps", "32-true")
    assert [front_end_device(each) for each in (device, "cpu", "cuda")] == ["cpu", "cpu", "cuda"]


def test_mps_is_recommended_on_a_mac_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(UserError, match=r"hardware=gpu: .*; choose hardware=mps or hardware=cpu"):
        resolve_device(Hardware(accelerator="gpu", precision="auto"))


def test_all_threads_come_back_after_a_job_that_wanted_one() -> None:
    use_threads(Hardware(accelerator="cpu", precision="auto"))  # whatever other tests of this process left
    before = torch.get_num_threads()

    use_threads(Hardware(accelerator="cpu", precision="auto", threads=1))
    alone = torch.get_num_threads()
    use_threads(Hardware(accelerator="cpu", precision="auto"))

    assert (alone, torch.get_num_threads()) == (1, before)
