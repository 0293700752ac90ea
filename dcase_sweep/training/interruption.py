"""A training ends at a signal also where a library has ignored the exception that it raised."""

from typing import Any

from pytorch_lightning import Callback

from dcase_sweep.utils.signals import check_interrupted


class Interruption(Callback):
    """Looks before each batch whether a signal has arrived: compilers ignore exceptions in their callbacks."""

    def on_train_batch_start(self, *arguments: Any) -> None:
        check_interrupted()

    def on_validation_batch_start(self, *arguments: Any, **more: Any) -> None:
        check_interrupted()
