"""A checkpoint that a training cannot continue from, told in one line before the first step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from dcase_sweep.utils.errors import UserError


@contextmanager
def restoring(resume: Path | None, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Blame the checkpoint for what goes wrong before the first step of a resumed training.

    Args:
        resume: the checkpoint; None where nothing is resumed.
        has_begun: whether the state is restored and the training goes on.

    Raises:
        UserError: if the state of the checkpoint does not fit.
    """
    try:
        yield
    except (UserError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if resume is None or has_begun():
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"resume={resume}: its state does not fit this training ({type(error).__name__}: {reason}); expected "
            "last.ckpt of an interrupted run as it was written"
        ) from error


class RestoredState(Callback):
    """Compares the restored state of the optimizers with the parameters, which PyTorch does not."""

    def __init__(self) -> None:
        self.has_begun = False

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        for optimizer in trainer.optimizers:
            for parameter, state in optimizer.state.items():
                for name, value in state.items():
                    if torch.is_tensor(value) and value.ndim and value.shape != parameter.shape:
                        raise ValueError(f"{name} {list(value.shape)} of a parameter {list(parameter.shape)}")
        self.has_begun = True
