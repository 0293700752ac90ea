"""Training with Keras: resumption, the arithmetic of the recipe, and interruption."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dcase_sweep.config import Experiment, build_model, find_learner
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.training.augmentation.base import Augmentation
from dcase_sweep.training.augmentation.clips import FreqMixStyle, MaskFrames, MaskMels, Mixup, Roll
from dcase_sweep.training.callbacks import StopTraining
from dcase_sweep.training.fitting import Fitted
from dcase_sweep.training.keras.library import is_installed
from dcase_sweep.training.scenes import SceneLearner
from dcase_sweep.utils.errors import UserError
from tests.composing import composed

pytestmark = pytest.mark.skipif(not is_installed(), reason="TensorFlow is not installed")

#: Maps of 40 × 20, two blocks of four filters, clips in batches of which the last is smaller.
SMALL = (
    "metrics=macro_f1",
    "data=tau2020",
    "data.root=/nowhere",
    "data.seconds=0.4",
    "model.blocks=[{filters:4,kernel:[3,3],pool:[5,5],dropout:0.3},{filters:4,kernel:[3,3],pool:[4,2],dropout:0.3}]",
    "model.units=8",
    "training.epochs=6",
    "training.batch_size=8",
    "training.best_after_fraction=0.17",
    "scheduler=cosine",
    "optimizer.lr=0.03",
    "hardware.threads=1",
    "hardware.precision=32-true",
)


def small(*more: str, framework: str = "tensorflow") -> Experiment:
    return composed(f"framework={framework}", *SMALL, *more)


def scenes() -> tuple[SceneData, NDArray[np.float32]]:
    """Sixty clips of three scenes that differ in their loud bands."""
    labels = ("bus", "park", "tram")
    rng = np.random.default_rng(0)
    recordings = tuple(SceneRecording(f"{i}.wav", labels[i % 3], "paris", f"paris-{i}", "a") for i in range(60))
    features = rng.normal(0, 2, (60, 40, 20)).astype(np.float32) - 5
    for position in range(60):
        features[position, 13 * (position % 3) :][:13] += 6
    rows = np.arange(60)
    return SceneData("tiny", Path("."), recordings, labels, rows[:36], rows[36:48], rows[48:]), features


def learner(experiment: Experiment) -> Any:
    return find_learner(experiment)(experiment, *scenes())


def fit(trained: Any, folder: Path, **more: Any) -> tuple[Fitted, list[dict[str, float]]]:
    told: list[dict[str, float]] = []
    given = {"extra": {"run_id": "r"}, "on_epoch": lambda epoch, metrics: told.append(metrics), **more}
    return trained.fit(folder, **given), told


def checkpoint(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


@dataclass
class Trained:
    """A learner after its training, and the metrics that it reported."""

    learner: Any
    fitted: Fitted
    told: list[dict[str, float]]
    batches: list[int]
    folder: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An uninterrupted training, shared by tests because building TensorFlow's graphs is slow."""
    folder, batches = tmp_path_factory.mktemp("whole"), list[int]()
    trained = learner(small())
    return Trained(trained, *fit(trained, folder, on_batch=batches.append), batches, folder)


def test_it_learns_and_keeps_the_best_epoch(whole: Trained) -> None:
    accuracies = [metrics["validation/accuracy"] for metrics in whole.told]

    assert whole.told[-1]["train/loss"] < 0.9 * whole.told[0]["train/loss"]
    assert whole.fitted.best_value == max(accuracies[1:]) > 0.5
    assert whole.fitted.best_epoch == 1 + accuracies[1:].index(whole.fitted.best_value)
    assert (whole.fitted.epochs, whole.fitted.checkpoint) == (6, whole.folder / "best.ckpt")
    assert all(0 <= metrics["validation/macro_f1"] <= 1 for metrics in whole.told)
    assert whole.batches == [8, 8, 8, 8, 4] * 6
    assert whole.learner.headline(whole.told[-1]).startswith("loss ")
    kept = checkpoint(whole.folder / "best.ckpt")
    assert (kept["epoch"], kept["dcase_sweep"]) == (whole.fitted.best_epoch, {"run_id": "r"})
    assert all(torch.equal(value, whole.learner.state_dict()[name]) for name, value in kept["state_dict"].items())


def test_with_its_weights_the_torch_learner_predicts_the_same(whole: Trained) -> None:
    rows = scenes()[0].test

    other = SceneLearner(small(framework="torch"), *scenes())
    other.module.load_state_dict(checkpoint(whole.folder / "best.ckpt")["state_dict"])

    np.testing.assert_allclose(whole.learner.predict(rows, batch_size=5), other.predict(rows), rtol=0, atol=1e-5)
    for ours, theirs in zip(whole.learner.layers(), other.layers(), strict=True):
        assert (ours.name, ours.kind) == (theirs.name, theirs.kind)
        assert ours.multiply_accumulates == theirs.multiply_accumulates
        assert all((a == b).all() for a, b in zip(ours.arrays, theirs.arrays, strict=True))


def test_stopped_by_a_watcher_and_resumed_equals_uninterrupted(whole: Trained, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    def watch(epoch: int, metrics: dict[str, float]) -> None:
        seen.append(metrics)
        if epoch == 2:
            raise StopTraining("no better than the others")

    with pytest.raises(StopTraining, match="no better"):
        fit(learner(small()), tmp_path / "cut", on_epoch=watch)
    last = tmp_path / "cut/last.ckpt"
    assert checkpoint(last)["epoch"] == 1
    resumed, told = fit(learner(small()), tmp_path / "rest", resume=last)

    assert seen == whole.told[:3]
    assert told == whole.told[2:]
    assert (resumed.best_epoch, resumed.best_value) == (whole.fitted.best_epoch, whole.fitted.best_value)
    ends = [checkpoint(folder / "last.ckpt") for folder in (whole.folder, tmp_path / "rest")]
    assert all(torch.equal(value, ends[1]["state_dict"][name]) for name, value in ends[0]["state_dict"].items())
    variables = [end["optimizer_states"][0]["variables"] for end in ends]
    assert all(torch.equal(first, second) for first, second in zip(*variables, strict=True))


def test_a_finished_training_is_taken_up_elsewhere(whole: Trained, tmp_path: Path) -> None:
    after, told = fit(learner(small()), tmp_path, resume=whole.folder / "last.ckpt")

    assert told == []
    assert (after.best_epoch, after.best_value) == (whole.fitted.best_epoch, whole.fitted.best_value)
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_features_on_the_device_are_the_same_features(whole: Trained, tmp_path: Path) -> None:
    _, told = fit(learner(small("hardware.cache_device=device")), tmp_path)

    assert told == whole.told


def test_batches_come_in_the_order_of_the_torch_learner() -> None:
    keras, torch_ = learner(small()), SceneLearner(small(framework="torch"), *scenes())

    _, batches, _ = keras._model_and_batches()
    expected = torch_._training_batches(None)

    assert batches.augmentations == []
    for epoch in (0, 3):
        batches.set_epoch(epoch)
        expected.set_epoch(epoch)
        for position, (features, targets) in enumerate(expected):
            found, one_hot = batches[position]
            assert (one_hot.argmax(axis=1) == targets.numpy()).all()
            normalised = (features - torch_.module.mean) / torch_.module.deviation
            np.testing.assert_allclose(found[..., 0], normalised.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "augmentation",
    [Mixup(0.3), MaskMels(2), MaskFrames(2), FreqMixStyle(1.0), Roll(0.3)],
    ids=lambda each: type(each).__name__,
)
def test_augmentation_changes_training_batches_by_the_seed(augmentation: Augmentation) -> None:
    from dcase_sweep.training.keras.batches import Batches

    data, features = scenes()
    one_hot = np.eye(3, dtype=np.float32)[data.targets]
    plain, changed, again = (
        Batches(features, one_hot, 8, shuffle_seed=0, augmentations=chain)
        for chain in ([], [augmentation], [augmentation])
    )

    state = torch.get_rng_state()
    (maps, targets), (same_maps, same_targets) = changed[1], again[1]
    assert (maps == same_maps).all()
    assert (targets == same_targets).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert maps.shape == plain[1][0].shape == (8, 40, 20, 1)
    assert (maps != plain[1][0]).any()
    assert (targets != plain[1][1]).any() == isinstance(augmentation, Mixup)
    changed.set_epoch(1)
    assert (changed[1][0] != maps).any()


@pytest.mark.parametrize("more", [(), ("scheduler=constant",), ("optimizer.weight_decay=0.1",)])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_steps_are_those_of_the_torch_optimizers(name: str, more: tuple[str, ...]) -> None:
    import keras

    from dcase_sweep.training.keras.optimizers import make_optimizer
    from dcase_sweep.training.optimization import Optimization
    from dcase_sweep.training.scenes.module import SceneModule

    experiment = small(f"optimizer={name}", *more)
    ours, theirs = keras.Variable(np.array([1.0, -2.0, 0.5], np.float32)), torch.nn.Linear(3, 1, bias=False)
    theirs.weight.data = torch.tensor([[1.0, -2.0, 0.5]])
    module = SceneModule(
        theirs,
        classes=1,
        mean=torch.zeros(1),
        deviation=torch.ones(1),
        optimization=Optimization(experiment.optimizer, experiment.scheduler, epochs=1, steps_per_epoch=3),
        loss=torch.nn.CrossEntropyLoss(),
        seed=0,
    )
    optimizer = make_optimizer(experiment.optimizer, experiment.scheduler, steps=3)
    configured = module.configure_optimizers()
    expected = configured["optimizer"] if isinstance(configured, dict) else configured

    for gradient in ([0.3, -0.1, 2.0], [0.2, 0.1, -1.0], [-0.3, 0.4, 0.5]):
        optimizer.apply([np.array(gradient, np.float32)], [ours])
        theirs.weight.grad = torch.tensor([gradient])
        expected.step()
        if isinstance(configured, dict):
            configured["lr_scheduler"]["scheduler"].step()

    np.testing.assert_allclose(ours.numpy(), theirs.weight.detach().numpy()[0], rtol=0, atol=1e-5)


def test_bfloat16_trains_and_predicts_in_float32(tmp_path: Path) -> None:
    trained = learner(small("hardware.precision=bf16-mixed", "training.epochs=1"))
    assert trained.network.layers[0].compute_dtype == "bfloat16"

    fit(trained, tmp_path)

    assert trained.predict(scenes()[0].test).sum(axis=1) == pytest.approx(np.ones(12), abs=1e-6)


def test_a_loss_that_is_no_number_ends_it_in_one_line(tmp_path: Path) -> None:
    shown = r"(loss is (nan|inf)|network\.\S+ is (nan|-?inf))"  # the second where the processor hides it from the loss
    with pytest.raises(UserError, match=rf"^training diverged in epoch \d: {shown}; lower optimizer.lr$"):
        fit(learner(small("optimizer=sgd", "optimizer.lr=1e6")), tmp_path)


def test_threads_cannot_change_in_one_process() -> None:
    learner(small())

    with pytest.raises(UserError, match=r"hardware.threads=7: TensorFlow uses 1 in this process"):
        learner(small("hardware.threads=7"))


def test_weights_of_another_network_are_rejected(tmp_path: Path) -> None:
    trained = learner(small())
    other = build_model(small("model.units=9", framework="torch"), classes=3)
    state = {f"network.{name}": value for name, value in other.state_dict().items()}

    with pytest.raises(UserError, match=r"head.1.weight is \[9, 16\]; expected \[8, 16\]"):
        trained.load_state_dict(state)
