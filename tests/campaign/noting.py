"""A callback that notes each epoch that is begun, with the process and the time."""

import os
import socket
import time
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer


class NoteEpochs(Callback):
    """Appends a line for each epoch to a file.

    Args:
        path: the file; see `tests.campaign.failure.read_epochs`.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append a line in one call, so that it is written whole or not at all."""
        line = f"{trainer.current_epoch} {os.getpid()} {socket.gethostname()} {time.time():.3f}\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(descriptor, line.encode())
        os.close(descriptor)
