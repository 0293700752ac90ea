"""The other side of `tests.benchmarks.training`: the task 1A baseline in Keras, an epoch at a time.

    python keras_peer.py FEATURES.npz SEED

Needs TensorFlow and nothing of this project. For each line ``epoch`` on standard input it trains one epoch with
``model.fit`` and prints the seconds as JSON; for ``accuracy`` it prints the macro accuracy on the test split of the
epoch with the best validation accuracy, the first quarter of the epochs left out.
"""

import json
import sys
import time
from typing import Any

import keras
import numpy as np


def baseline(classes: int) -> Any:
    """The published network, initialised and compiled as published."""
    layers = [keras.layers.Input((40, 500, 1))]
    for filters, pool in ((16, None), (16, (5, 5)), (32, (4, 100))):
        layers += [
            keras.layers.Conv2D(filters, 7, padding="same", kernel_initializer="glorot_uniform"),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
        ]
        if pool:
            layers += [keras.layers.MaxPooling2D(pool), keras.layers.Dropout(0.3)]
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(100, activation="relu", kernel_initializer="random_uniform"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(classes, activation="softmax", kernel_initializer="random_uniform"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["categorical_accuracy"])
    return model


def macro_accuracy(model: Any, features: Any, targets: Any) -> float:
    """Mean over the classes of the share of their clips that are recognised."""
    right = model.predict(features, verbose=0).argmax(axis=1) == targets
    return float(np.mean([right[targets == index].mean() for index in np.unique(targets)]))


def main() -> None:
    """Answer questions until there are no more."""
    keras.utils.set_random_seed(int(sys.argv[2]))
    data = dict(np.load(sys.argv[1]))
    one_hot = np.eye(int(data["train_targets"].max()) + 1, dtype=np.float32)
    model = baseline(len(one_hot))
    features = {name: data[name][..., None] for name in ("train", "validation", "test")}
    epochs: list[tuple[float, list[Any]]] = []
    for line in sys.stdin:
        if line.strip() == "epoch":
            began = time.perf_counter()
            model.fit(features["train"], one_hot[data["train_targets"]], batch_size=16, epochs=1, verbose=0)
            seconds = time.perf_counter() - began
            right = model.predict(features["validation"], verbose=0).argmax(axis=1) == data["validation_targets"]
            epochs.append((float(right.mean()), model.get_weights()))
            print(json.dumps({"epoch": seconds}), flush=True)
        elif line.strip() == "accuracy":
            _, weights = max(epochs[len(epochs) // 4 :], key=lambda epoch: epoch[0])
            model.set_weights(weights)
            accuracy = macro_accuracy(model, features["test"], data["test_targets"])
            print(json.dumps({"accuracy": accuracy}), flush=True)


if __name__ == "__main__":
    main()
