"""The Keras network in lower precision: same structure, and gradients close to those of float32."""

import numpy as np
import pytest

from dcase_sweep.training.keras.library import import_keras, is_installed
from dcase_sweep.training.keras.network import build_network
from tests.composing import composed

pytestmark = pytest.mark.skipif(not is_installed(), reason="TensorFlow is not installed")

SMALL = (
    "framework=tensorflow",
    "data.seconds=2",
    "model.blocks=[{filters:4,kernel:[3,3],pool:[5,1],dropout:0},{filters:4,kernel:[3,3],pool:[4,100],dropout:0}]",
    "model.dropout=0",
)


def gradients(precision: str, features: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the gradients of the loss in a graph, like ``model.fit``."""
    import tensorflow

    keras = import_keras()
    network = build_network(composed(*SMALL), classes=10, precision=precision)

    @tensorflow.function
    def compute() -> list[tensorflow.Tensor]:
        with tensorflow.GradientTape() as tape:
            loss = tensorflow.reduce_mean(
                keras.losses.categorical_crossentropy(targets, network(features, training=True))
            )
        return tape.gradient(loss, [weight.value for weight in network.trainable_variables])

    return {weight.path: value.numpy() for weight, value in zip(network.trainable_variables, compute(), strict=True)}


def test_gradients_in_bfloat16_are_those_of_float32() -> None:
    """Also after a pooling window of 400 values. Kernels are omitted, because rounding may change the maximum."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((8, 40, 100, 1)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[np.arange(8)]

    exact, rounded = (gradients(precision, features, targets) for precision in ("32-true", "bf16-mixed"))

    names = [name for name in exact if name.rpartition("/")[2] in ("gamma", "beta") or "head" in name]
    assert len(names) == 2 * 2 + 4
    for name in names:
        assert np.corrcoef(exact[name].ravel(), rounded[name].ravel())[0, 1] > 0.9, name
