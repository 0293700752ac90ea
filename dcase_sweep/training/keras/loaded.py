"""Keras and TensorFlow for modules that require them: importing this module imports both."""

from dcase_sweep.training.keras.library import import_keras

import_keras()  # must come before the other imports of them, to suppress their notices

import keras  # noqa: E402
import tensorflow  # noqa: E402

__all__ = ["keras", "tensorflow"]
