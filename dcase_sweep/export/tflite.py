"""Conversion of a trained network to TensorFlow Lite, with the same network in Keras."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.config.classes import locate_class
from dcase_sweep.export.network import network_weights
from dcase_sweep.export.quiet import silence
from dcase_sweep.export.runs import TrainedRun
from dcase_sweep.training.keras.checks import find_twin
from dcase_sweep.utils.errors import UserError

#: The four kinds in TensorFlow's guide to post-training quantisation, the largest file first.
KINDS = ("float32", "float16", "dynamic", "int8")


def check_convertible(run: TrainedRun) -> None:
    """Check that the network of a run has a version in Keras, which TensorFlow converts.

    Raises:
        UserError: if it has none.
    """
    target = run.experiment.model._target_
    if find_twin(locate_class("model", target)) is None:
        raise UserError(f"export tflite: model {target.rpartition('.')[2]} has no version in Keras; use export onnx")


class TFLiteConverter:
    """Converts one trained network; reads log-mel maps ``[1, mel, frame, 1]``, not normalised, writes probabilities."""

    def __init__(self, run: TrainedRun, *, classes: int) -> None:
        from dcase_sweep.training.keras.library import import_keras, import_tensorflow

        with silence():
            import_keras()
            self._tensorflow = import_tensorflow()
            # The traced function holds only weak references to the weights.
            self._function, self._twin = self._traced(run, classes)

    def _traced(self, run: TrainedRun, classes: int) -> tuple[Any, Any]:
        from dcase_sweep.training.keras.network import build_network
        from dcase_sweep.training.keras.weights import to_keras

        tensorflow = self._tensorflow
        twin = build_network(run.experiment, classes=classes)
        to_keras(network_weights(run), twin)
        mean, deviation = (run.state[name].numpy()[None, :, :, None] for name in ("mean", "deviation"))

        def probabilities(log_mel: Any) -> Any:
            with tensorflow.name_scope("export/normalisation"):
                normalised = (log_mel - mean) / deviation
            return twin(normalised, training=False)

        shape = tensorflow.TensorSpec((1, *twin.input_shape[1:]), tensorflow.float32, name="log_mel")
        return tensorflow.function(probabilities).get_concrete_function(shape), twin

    def convert(
        self, kind: str, calibration: NDArray[np.float32], *, on_clip: Callable[[], None] = lambda: None
    ) -> bytes:
        """Convert to one kind and return the file's content.

        Args:
            kind: ``float32``; ``float16``: weights in half precision; ``dynamic``: weights in int8, activations
                quantised at run time; ``int8``: weights, activations, input and output in int8.
            calibration: log-mel maps ``[clip, mel, frame]`` for the ranges of the tensors in ``int8``.
            on_clip: called after each map.
        """
        lite = self._tensorflow.lite
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about statistics of int8 inputs, which come from the clips
            # Without an object that holds them, the weights become constants, as a device needs them.
            converter = lite.TFLiteConverter.from_concrete_functions([self._function])
            if kind != "float32":
                converter.optimizations = [lite.Optimize.DEFAULT]
            if kind == "float16":
                converter.target_spec.supported_types = [self._tensorflow.float16]
            if kind == "int8":

                def clips() -> Iterator[list[NDArray[np.float32]]]:
                    for clip in calibration:
                        on_clip()
                        yield [clip[None, :, :, None]]

                converter.representative_dataset = clips
                converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = self._tensorflow.int8
                converter.inference_output_type = self._tensorflow.int8
            return bytes(converter.convert())
