"""Device, precision and threads of a network. Does not import Lightning, which takes seconds."""

import torch

from dcase_sweep.config import Hardware
from dcase_sweep.training.gpu_memory import limit_memory
from dcase_sweep.utils.errors import UserError

#: PyTorch's own default: all cores, or OMP_NUM_THREADS.
_ALL_THREADS = torch.get_num_threads()


def use_threads(hardware: Hardware) -> None:
    """Set the number of threads of operators as configured. An earlier job of this process may have changed it."""
    torch.set_num_threads(hardware.threads or _ALL_THREADS)


def resolve_precision(hardware: Hardware) -> str:
    """Resolve ``auto``: bfloat16 with hardware support, else float32 on a CPU or float16 on a GPU; float32 on MPS."""
    if hardware.precision != "auto":
        return hardware.precision
    if hardware.accelerator == "mps":
        return "32-true"
    if hardware.accelerator == "gpu":
        # Emulated bfloat16 is slower than float32.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if native else "16-mixed"
    # PyTorch has no public name for either check, and may rename private ones.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16-mixed" if any(supported() for supported in asked if supported) else "32-true"


def resolve_device(hardware: Hardware) -> str:
    """Return PyTorch's name of the device. A worker that shares its GPU takes only its part of the memory from now on.

    Raises:
        UserError: if a GPU is requested and there is none.
    """
    if hardware.accelerator == "cpu":
        return "cpu"
    has_mps = torch.backends.mps.is_available()
    if hardware.accelerator == "mps":
        if not has_mps:
            raise UserError("hardware=mps: PyTorch finds no GPU of a Mac on this machine; choose hardware=cpu")
        if not torch.amp.is_autocast_available("mps"):
            raise UserError(f"hardware=mps: PyTorch {torch.__version__} is too old for it; expected 2.5 or newer")
        return "mps"
    if not torch.cuda.is_available():
        other = "hardware=mps or hardware=cpu" if has_mps else "hardware=cpu"
        raise UserError(f"hardware=gpu: PyTorch finds no GPU on this machine; choose {other}")
    limit_memory()
    return "cuda"


def front_end_device(device: str) -> str:
    """Return where the features of recordings are computed: on a GPU by CUDA, else on the CPU.

    The front ends are tested on these two.
    """
    return device if torch.device(device).type == "cuda" else "cpu"
