"""A Lightning trainer as this project wants it, for any module."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning
import torch

from dcase_sweep.config import Hardware
from dcase_sweep.errors import UserError
from dcase_sweep.learners.keeper import WholeFiles
from dcase_sweep.memory import keep_freed_memory

#: What PyTorch takes of itself: all cores, or what OMP_NUM_THREADS says.
_ALL_THREADS = torch.get_num_threads()


def use_threads(hardware: Hardware) -> None:
    """Let operators use as many threads as configured; an earlier job of this process may have set another number."""
    torch.set_num_threads(hardware.threads or _ALL_THREADS)


def resolve_precision(hardware: Hardware) -> str:
    """``auto`` as what the device multiplies fast: bfloat16 in hardware, else float32 on a CPU, float16 on a GPU."""
    if hardware.precision != "auto":
        return hardware.precision
    if hardware.accelerator == "gpu":
        # What is emulated is slower than float32.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if native else "16-mixed"
    # PyTorch offers no public name for either, and may rename what it does not promise.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16-mixed" if any(supported() for supported in asked if supported) else "32-true"


def device_of(hardware: Hardware) -> str:
    """PyTorch's name of the device.

    Raises:
        UserError: if a GPU is asked for and there is none.
    """
    if hardware.accelerator == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError("hardware=gpu: PyTorch finds no GPU on this machine; choose hardware=cpu")
    return "cuda"


def make_trainer(
    hardware: Hardware, *, epochs: int, folder: Path, callbacks: list[pytorch_lightning.Callback]
) -> pytorch_lightning.Trainer:
    """A trainer that writes nothing of its own: logging, checkpoints and progress are the callbacks' business."""
    keep_freed_memory()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytorch_lightning.Trainer(
            accelerator=hardware.accelerator,
            devices=1,
            precision=resolve_precision(hardware),  # type: ignore[arg-type]
            max_epochs=epochs,
            callbacks=callbacks,
            plugins=[WholeFiles()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
            deterministic="warn" if hardware.deterministic else False,
            benchmark=not hardware.deterministic,
            default_root_dir=folder,
        )
