"""TensorFlow and Keras, imported quietly, and only by whoever asks for them."""

import os
import sys
from importlib.util import find_spec
from typing import Any

from dcase_sweep.errors import UserError

#: What an installation without TensorFlow is told.
MISSING = "framework=tensorflow: TensorFlow is not installed; pip install 'dcase-sweep[tensorflow]', or framework=torch"


def is_installed() -> bool:
    """Whether TensorFlow and Keras are there, which is asked without the seconds that importing them takes."""
    return all(sys.modules.get(name) is not None or _is_found(name) for name in ("tensorflow", "keras"))


def _is_found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # what find_spec says of a module that is blocked
        return False


def import_keras() -> Any:
    """Keras on TensorFlow, which tells nothing of its processor and takes GPU memory as it needs it.

    Raises:
        UserError: if it is not installed, or if Keras has begun with another backend in this process.
    """
    if not is_installed():
        raise UserError(MISSING)
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what fails raises; the rest is talk
        _prepare(import_tensorflow())
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(f"framework=tensorflow: Keras runs on {backend} in this process; set KERAS_BACKEND=tensorflow")
    return keras


def import_tensorflow() -> Any:
    """TensorFlow as it is, for those who have imported Keras before."""
    import tensorflow

    return tensorflow


def _prepare(tensorflow: Any) -> None:
    """Leave to PyTorch what TensorFlow does not use of a GPU's memory."""
    tensorflow.get_logger().setLevel("ERROR")
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        tensorflow.config.experimental.set_memory_growth(gpu, True)
