"""The Lightning trainer of this project, for any module."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning
import torch

from dcase_sweep.config import Hardware
from dcase_sweep.training.best_checkpoint import WholeFiles
from dcase_sweep.training.device import resolve_precision
from dcase_sweep.utils.malloc import keep_large_allocations


def make_trainer(
    hardware: Hardware, *, epochs: int, folder: Path, callbacks: list[pytorch_lightning.Callback]
) -> pytorch_lightning.Trainer:
    """Create a trainer that writes nothing itself: logging, checkpoints and progress are handled by callbacks."""
    keep_large_allocations()
    # No operation reads memory before it is written, and filling all of it takes a part of each step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning").setLevel(logging.ERROR)
    has_checkpoints = any(isinstance(each, pytorch_lightning.callbacks.Checkpoint) for each in callbacks)
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
            enable_checkpointing=has_checkpoints,
            # Lightning refuses a progress bar of the user's own otherwise.
            enable_progress_bar=any(isinstance(each, pytorch_lightning.callbacks.ProgressBar) for each in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
            deterministic="warn" if hardware.deterministic else False,
            benchmark=not hardware.deterministic,
            default_root_dir=folder,
        )
