"""The end of a training after a signal."""

from typing import Any

from pytorch_lightning import Callback

from dcase_sweep.utils.signals import check_interrupted


class Interruption(Callback):
    """Checks before each batch if a signal has arrived.

    The signal handler raises an exception, but compilers ignore exceptions that are raised in their callbacks.
    """

    def on_train_batch_start(self, *arguments: Any) -> None:
        check_interrupted()

    def on_validation_batch_start(self, *arguments: Any, **more: Any) -> None:
        check_interrupted()
