"""Keras and TensorFlow for modules that are of no use without them: importing this one imports both."""

from dcase_sweep.training.keras.library import import_keras

import_keras()  # before their own imports, which would otherwise begin with all that they have to tell

import keras  # noqa: E402
import tensorflow  # noqa: E402

__all__ = ["keras", "tensorflow"]
