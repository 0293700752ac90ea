"""How fast the baseline CNN trains: `python -m tests.benchmarks.training --keras-python PATH`.

SceneLearner.fit and model.fit of Keras on TensorFlow train the same network by the same recipe (batches of 16, Adam)
on the same normalised features, an epoch each in turn, on all cores of this CPU. Validation is not timed, and neither
is each one's first epoch. PATH is the Python of an environment with TensorFlow. The last figure is the share of the
machine's rate of matrix products in our precision, measured in turn too; a training step counts as three forward
passes.

With `--accuracy EPOCHS` both train for so many epochs, and the accuracies on the test split, each of the epoch with
the best validation accuracy, are compared over `--seeds`.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, make_parser, matrix_rate, print_table, ratio, recordings

if TYPE_CHECKING:
    from dcase_sweep.config import Experiment
    from dcase_sweep.data.scenes import SceneData
    from dcase_sweep.training.scenes import SceneLearner


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch of both sides took, in seconds, and the rate of matrix products after it, in FLOP/s."""

    ours: float
    keras: float
    matrix: float


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--keras-python", required=True, help="the Python of an environment with TensorFlow")
    parser.add_argument("--epochs", type=int, default=8, help="epochs a side, the first not counted (default: 8)")
    parser.add_argument("--accuracy", type=int, metavar="EPOCHS", help="train so many epochs and compare accuracies")
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings, one a seed (default: 1)")
    parser.add_argument("--precision", default="auto", help="our hardware.precision (default: auto); Keras' is float32")
    options = parser.parse_args()
    epochs = options.accuracy or options.epochs
    with recordings(options.root) as root, tempfile.TemporaryDirectory() as folder:
        _compare(root, Path(folder), options.keras_python, epochs, options.seeds, options.precision)


def _compare(root: Path, folder: Path, keras_python: str, epochs: int, seeds: int, asked: str) -> None:
    from dcase_sweep.data.scenes import SceneData
    from dcase_sweep.tasks.features import load_features
    from dcase_sweep.training.device import resolve_precision
    from dcase_sweep.training.scenes import SceneLearner

    data, store = load_features(_experiment(root, folder, epochs, 0, asked))
    assert isinstance(data, SceneData)
    _save_features(_experiment(root, folder, epochs, 0, asked), data, store.features, folder / "features.npz")
    measured: list[Epoch] = []
    accuracies: list[tuple[float, float]] = []
    for seed in range(seeds):
        experiment = _experiment(root, folder, epochs, seed, asked)
        precision = resolve_precision(experiment.hardware)
        learner = SceneLearner(experiment, data, store.features)
        with Peer(keras_python, folder / "features.npz", seed) as peer:
            measured += _train_in_turn(learner, peer, folder / str(seed), precision)[1:]
            ours = macro_accuracy(learner.predict(data.test), data.targets[data.test])
            accuracies.append((ours, peer.ask("accuracy")))
    print(describe_machine())
    print(f"{len(data.train)} clips an epoch, {len(measured)} epochs in turn, ours in {precision}, Keras in float32")
    _print_speed(measured, len(data.train), sum(layer.multiply_accumulates for layer in learner.layers()))
    _print_accuracies(accuracies, epochs)


def _print_speed(measured: list[Epoch], clips: int, products: int) -> None:
    ours, keras = [epoch.ours for epoch in measured], [epoch.keras for epoch in measured]
    share = [6 * products * clips / epoch.ours / epoch.matrix for epoch in measured]
    rows = [("", "clips/s", "× keras", "of matrix rate")]
    rows.append(("ours", f"{clips / statistics.median(ours):.0f}", f"{ratio(keras, ours):.2f}", _percent(share)))
    rows.append(("keras", f"{clips / statistics.median(keras):.0f}", "1.00", ""))
    print_table(rows)
    record(Figure("baseline_cnn beside Keras", ratio(keras, ours), "×", aim=2.0))
    record(Figure("share of the rate of matrix products", 100 * statistics.median(share), "%"))
    print(f"matrix rate: {statistics.median(epoch.matrix for epoch in measured) / 1e9:.0f} GFLOP/s")
    print("aimed at: ours at least 2 × keras")


def _print_accuracies(accuracies: list[tuple[float, float]], epochs: int) -> None:
    print(f"accuracy on the test split after {epochs} epochs, {len(accuracies)} seeds")
    for name, values in zip(("ours", "keras"), zip(*accuracies, strict=True), strict=True):
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        print(f"{name:5}  {_percent(values, statistics.mean)}  ({each})")
        record(Figure(f"accuracy after {epochs} epochs, {name}", 100 * statistics.mean(values), "% accuracy"))


def _percent(values: Sequence[float], middle: Callable[[Sequence[float]], float] = statistics.median) -> str:
    return f"{100 * middle(values):.1f} %"


def _experiment(root: Path, folder: Path, epochs: int, seed: int, precision: str) -> "Experiment":
    from hydra import compose
    from hydra.initialize import initialize_config_dir

    from dcase_sweep.config import check
    from dcase_sweep.config.folders import conf_folder

    overrides = ["data=tau2020", f"data.root={root.resolve()}", f"store.root={folder / 'features'}"]
    overrides += ["model=baseline_cnn", "hardware=cpu", f"hardware.precision={precision}"]
    overrides += [f"training.epochs={epochs}", f"seed={seed}"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return check(compose("config", overrides))


def _save_features(experiment: "Experiment", data: "SceneData", stored: NDArray[np.float32], path: Path) -> None:
    """Normalised features and class indices of the three splits, for the peer: what our network sees."""
    from dcase_sweep.training.normalisation import network_frames, normalisation

    mean, deviation = normalisation(experiment, data, stored)
    features = network_frames(experiment, stored)
    arrays: dict[str, Any] = {}
    for name, rows in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        arrays[name] = (features[rows] - mean[:, None]) / deviation[:, None]
        arrays[f"{name}_targets"] = data.targets[rows]
    np.savez(path, **arrays)


def _train_in_turn(learner: "SceneLearner", peer: "Peer", folder: Path, precision: str) -> list[Epoch]:
    """Fit, and let the peer train an epoch after each of ours."""
    module = learner.module
    begin_epoch = module.on_train_epoch_start
    began = ended = 0.0
    epochs: list[Epoch] = []

    def epoch_begins() -> None:
        nonlocal began
        begin_epoch()
        began = time.perf_counter()

    def validation_begins() -> None:
        nonlocal ended
        ended = time.perf_counter()

    def epoch_ends(number: int, metrics: dict[str, float]) -> None:
        epochs.append(Epoch(ended - began, peer.ask("epoch"), matrix_rate(precision)))

    module.on_train_epoch_start = epoch_begins  # type: ignore[method-assign]
    module.on_validation_epoch_start = validation_begins  # type: ignore[method-assign]
    learner.fit(folder, extra={}, on_epoch=epoch_ends)
    return epochs


def macro_accuracy(scores: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Mean over the classes of the share of their clips that are recognised."""
    right = scores.argmax(axis=1) == targets
    return float(np.mean([right[targets == index].mean() for index in np.unique(targets)]))


class Peer:
    """Keras in a process of its own that trains an epoch when asked to."""

    def __init__(self, python: str, features: Path, seed: int) -> None:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        command = [python, str(Path(__file__).with_name("keras_peer.py")), str(features), str(seed)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, what: str) -> float:
        """Seconds of one more ``epoch``, or the best epoch's ``accuracy``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(what, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("{"):
                return float(json.loads(line)[what])
        raise SystemExit("Keras ended early; does --keras-python name an environment with TensorFlow?")

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


if __name__ == "__main__":
    main()
