"""A callback that ends a training in the middle of an epoch, as other libraries and batch systems do."""

import os
import signal
from pathlib import Path

from pytorch_lightning import Callback, Trainer


class Stop(Callback):
    """Ends the training once, in the way that a file says, which is removed.

    Args:
        path: a file with the epoch, counted from 0, and ``SystemExit`` or the name of a signal: ``2 SIGUSR2``.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_start(self, trainer: Trainer, *arguments: object) -> None:
        if not self.path.is_file():
            return
        epoch, how = self.path.read_text().split()
        if trainer.current_epoch != int(epoch):
            return
        self.path.unlink()
        if how == "SystemExit":
            raise SystemExit(0)
        os.kill(os.getpid(), getattr(signal, how))


def stopping(path: Path) -> str:
    """The override that adds the callback, by this file alone: the sources of a whole package would be hashed."""
    return f"++callbacks.stop={{_target_: interruptions.Stop, path: {path}}}"
