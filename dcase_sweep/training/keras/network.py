"""The networks of ``dcase_sweep.models`` in Keras. Each layer has the name of its PyTorch counterpart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dcase_sweep.config import Experiment, build_front_end, keyword_arguments, locate, locate_class
from dcase_sweep.models.cnn import Block, resolve_blocks
from dcase_sweep.training.keras.checks import find_twin
from dcase_sweep.training.keras.library import import_keras

#: Keras' names for the precisions of ``hardware``.
POLICIES = {"32-true": "float32", "bf16-mixed": "mixed_bfloat16", "16-mixed": "mixed_float16"}


def build_network(experiment: Experiment, *, classes: int, precision: str = "32-true") -> Any:
    """Build the Keras version of the experiment's network, a `keras.Sequential` from features to probabilities.

    Args:
        classes: number of classes.
        precision: precision as in ``hardware.precision``; weights are always float32.
    """
    target: Any = locate_class("model", experiment.model._target_)
    front_end = build_front_end(experiment)
    twin = find_twin(target)
    assert twin is not None  # as checked
    return locate("model.keras_twin", twin)(
        input_shape=front_end.shape,
        classes=classes,
        seed=experiment.seed,
        policy=POLICIES[precision],
        **keyword_arguments(experiment.model),
    )


class LayerSeeds:
    """Different seeds for the layers of a network, derived from one seed."""

    def __init__(self, seed: int) -> None:
        self._sequence = np.random.SeedSequence(seed)

    def seed(self) -> int:
        """Return the next seed."""
        return int(self._sequence.spawn(1)[0].generate_state(1)[0] >> 1)  # Keras stores seeds in 31 bits


def cnn(
    *,
    input_shape: tuple[int, int],
    classes: int,
    blocks: Sequence[Mapping[str, Any]],
    depth: int | None = None,
    units: int = 100,
    dropout: float = 0.3,
    seed: int = 0,
    policy: str = "float32",
) -> Any:
    """Build the Keras version of `dcase_sweep.models.cnn.CNN`, with the same arguments.

    Takes normalised features ``[batch, mel, frame, 1]`` and returns float32 probabilities ``[batch, class]``. Uses
    Keras' own initialisers, as the DCASE 2021 task 1A baseline does.

    Args:
        seed: seed of the initial weights and of dropout.
        policy: Keras' name of the precision.
    """
    keras = import_keras()
    seeds = LayerSeeds(seed)
    layers: list[Any] = [keras.layers.Input((*input_shape, 1), name="features")]
    convolutions: list[Any] = []
    for block in resolve_blocks(blocks, depth):
        convolutions += _block(keras, block, len(convolutions), seeds, policy)
    head = [
        keras.layers.Flatten(name="head.0", dtype=policy),
        _dense(keras, units, "head.1", seeds, policy),
        keras.layers.ReLU(name="head.2", dtype=policy),
        keras.layers.Dropout(dropout, seed=seeds.seed(), name="head.3", dtype=policy),
        _dense(keras, classes, "head.4", seeds, policy),
    ]
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    return keras.Sequential([*layers, *convolutions, *head, softmax], name="cnn")


def _block(keras: Any, block: Block, position: int, seeds: LayerSeeds, policy: str) -> list[Any]:
    """Create the layers of one block, named ``convolutions.<position>`` and so on."""
    made: list[tuple[Any, dict[str, Any]]] = [
        (
            keras.layers.Conv2D,
            {
                "filters": block.filters,
                "kernel_size": block.kernel,
                "padding": "same",
                "kernel_initializer": keras.initializers.GlorotUniform(seed=seeds.seed()),
            },
        ),
        (keras.layers.BatchNormalization, {"epsilon": 1e-3, "momentum": 0.99}),
        (keras.layers.ReLU, {}),
    ]
    if block.pool is not None:
        made.append((keras.layers.MaxPooling2D, {"pool_size": block.pool, "dtype": _pooled_in(policy, block.pool)}))
    if block.dropout:
        made.append((keras.layers.Dropout, {"rate": block.dropout, "seed": seeds.seed()}))
    return [
        kind(name=f"convolutions.{position + place}", **{"dtype": policy, **given})
        for place, (kind, given) in enumerate(made)
    ]


def _pooled_in(policy: str, pool: tuple[int, int]) -> str:
    """Return the precision of a pooling layer. The output values are those of the policy in either case.

    In bfloat16 on a CPU, graphs of TensorFlow 2.21 store the index of a maximum in a byte, so that gradients of larger
    windows go to the wrong samples.
    """
    return "float32" if policy == "mixed_bfloat16" and pool[0] * pool[1] > 255 else policy


def _dense(keras: Any, units: int, name: str, seeds: LayerSeeds, policy: str) -> Any:
    uniform = keras.initializers.RandomUniform(-0.05, 0.05, seed=seeds.seed())
    return keras.layers.Dense(units, kernel_initializer=uniform, name=name, dtype=policy)
