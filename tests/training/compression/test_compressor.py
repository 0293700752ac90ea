"""A compressed training: its checkpoints, and identical results after an interruption."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dcase_sweep.config import Compression, Experiment, Hardware, Monitor
from dcase_sweep.config.schemas import Training
from dcase_sweep.models.cnn import CNN
from dcase_sweep.training.augmentation.clips import Roll
from dcase_sweep.training.batches import Batches, Clips
from dcase_sweep.training.compression.compressor import RANGES, Compressor
from dcase_sweep.training.fitting import Fitted, fit
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.scenes.module import SceneModule

SHAPE, CLASSES, EPOCHS, CLIPS = (4, 8), 3, 8, 12
BLOCKS = [{"filters": 4, "kernel": [3, 3], "pool": [2, 2], "dropout": 0.2}] * 2


class Stopped(Exception):
    """Simulates a loss of power."""


class Tiny:
    """A tiny network, its compression and its clips, always the same."""

    def __init__(self, settings: Compression) -> None:
        torch.manual_seed(5)
        network = CNN(input_shape=SHAPE, classes=CLASSES, blocks=BLOCKS, units=6)
        self.compressor = Compressor(network, settings, input_shape=SHAPE, epochs=EPOCHS, steps_per_epoch=3)
        self.module = SceneModule(
            network,
            classes=CLASSES,
            mean=torch.zeros(SHAPE[0]),
            deviation=torch.ones(SHAPE[0]),
            optimization=Optimization(
                {"_target_": "torch.optim.Adam", "lr": 0.01, "eps": 1e-7},
                {"_target_": "dcase_sweep.training.schedules.constant"},
                epochs=EPOCHS,
                steps_per_epoch=3,
            ),
            loss=torch.nn.CrossEntropyLoss(),
            augmentations=[Roll(0.3)],
            seed=5,
            call=self.compressor.quantized,
        )
        features = torch.randn(CLIPS, *SHAPE).numpy()
        self.clips = Clips(features, torch.arange(CLIPS).numpy(), torch.arange(CLIPS).numpy() % CLASSES)
        self.zeros: list[int] = []

    def fit(self, folder: Path, *, stop_after: int | None = None, resume: Path | None = None) -> Fitted:
        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            self.zeros.append(sum(int((weight == 0).sum()) for weight in self.compressor.pruner.weights))
            if epoch == stop_after:
                raise Stopped

        return fit(
            self.module,
            Batches(self.clips, 4, shuffle_seed=5),
            Batches(self.clips, 4),
            Experiment(
                training=Training(epochs=EPOCHS, batch_size=4, best_after_fraction=0.0),
                hardware=Hardware(accelerator="cpu", precision="32-true"),
            ),
            folder,
            monitor=Monitor("validation/accuracy", "max"),
            extra={},
            on_epoch=on_epoch,
            resume=resume,
            compressor=self.compressor,
        )

    def logits(self) -> Tensor:
        with torch.no_grad():
            made: Tensor = self.module.eval()(self.clips.features)
        return made


BOTH = Compression(nonzero_kib=0.4, begin=0.1, end=0.6, quantize=True, quantize_from=0.3, freeze_from=0.8)


@pytest.mark.parametrize("stop_after", [2, 5])  # while it is pruned, and when all is pruned
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, stop_after: int) -> None:
    whole, first, second = Tiny(BOTH), Tiny(BOTH), Tiny(BOTH)

    kept = whole.fit(tmp_path / "whole")
    with pytest.raises(Stopped):
        first.fit(tmp_path / "parts", stop_after=stop_after)
    resumed = second.fit(tmp_path / "more", resume=tmp_path / "parts/last.ckpt")

    assert (resumed.best_epoch, resumed.best_value) == (kept.best_epoch, kept.best_value)
    last = [torch.load(tmp_path / folder / "last.ckpt", weights_only=True) for folder in ("whole", "more")]
    assert all(torch.equal(last[0]["state_dict"][key], value) for key, value in last[1]["state_dict"].items())
    assert first.zeros[:stop_after] + second.zeros == whole.zeros
    assert torch.equal(whole.logits(), second.logits())


def test_the_best_checkpoint_has_the_zeros_and_is_that_of_the_plain_network(tmp_path: Path) -> None:
    training = Tiny(BOTH)

    kept = training.fit(tmp_path)

    plan, compressor = training.compressor.plan, training.compressor
    assert kept.best_epoch >= compressor.first_epoch == 4
    assert training.zeros == sorted(training.zeros)
    assert training.zeros[0] < training.zeros[2] < training.zeros[4] == plan.zeros == training.zeros[-1]
    content = torch.load(kept.checkpoint, weights_only=True)
    names = {f"network.{name}" for name in CNN(input_shape=SHAPE, classes=3, blocks=BLOCKS, units=6).state_dict()}
    assert set(content["state_dict"]) == names | {"mean", "deviation"}
    weights = [value for name, value in content["state_dict"].items() if name.endswith("weight") and value.ndim > 1]
    assert sum(int((weight == 0).sum()) for weight in weights) == plan.zeros
    assert {"input", "head.4"} < set(content[RANGES])


def test_ranges_stay_once_they_are_frozen(tmp_path: Path) -> None:
    early, late = Tiny(BOTH), Tiny(BOTH)
    for training, epoch in ((early, 6), (late, 7)):
        with pytest.raises(Stopped):
            training.fit(tmp_path / str(epoch), stop_after=epoch)
    first, second = (each.compressor.quantized for each in (early, late))

    assert first is not None
    assert second is not None
    assert int(first.ranges["input"].batches) == 4 * 3  # epochs 2 to 5: 0.3 and 0.8 of 8 are 2.4 and 6.4
    assert all(torch.equal(value, second.state()[name]) for name, value in first.state().items())


def test_a_headline_of_what_will_be_done() -> None:
    assert Tiny(BOTH).compressor.headline == (
        "123 of 246 weights stay (0.40 KiB non-zero at 16 bit), int8 fake quantisation from epoch 3, "
        "kept from epoch 5 on"
    )
