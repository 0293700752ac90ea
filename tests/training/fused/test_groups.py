"""Trainings that are computed together: the results are those of the same trainings one by one."""

import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from torch import Tensor, nn

from dcase_sweep.training.augmentation.clips import MaskMels, Mixup
from dcase_sweep.training.batches import MappedClips
from dcase_sweep.training.fused import stacked_group as groups
from dcase_sweep.training.scenes.module import SceneModule
from dcase_sweep.training.step_graph import StepValues
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import Interrupted, interruptible
from tests.training.fused.trainings import CLIPS, EPOCHS, Tiny, alone, make_network, together


def assert_same(joined: Tiny, lone: Tiny, tolerance: float = 2e-5) -> None:
    """Check that two trainings have the same losses in each epoch, and the same best epoch."""
    assert joined.error is None, joined.error
    assert lone.error is None, lone.error
    assert len(joined.history) == len(lone.history)
    for one, other in zip(joined.history, lone.history, strict=True):
        assert one == pytest.approx(other, abs=tolerance)
    assert joined.fitted is not None
    assert lone.fitted is not None
    assert joined.fitted.best_epoch == lone.fitted.best_epoch


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of trainings that are computed together, an entry for each stack."""
    found = []

    class Noted(groups.Stack):
        def __init__(self, networks: Any) -> None:
            found.append(len(networks))
            super().__init__(networks)

    monkeypatch.setattr(groups, "Stack", Noted)
    return found


@pytest.mark.parametrize("graphs", [False, True])
def test_seeds_have_the_losses_of_lone_trainings(tmp_path: Path, sizes: list[int], graphs: bool) -> None:
    """With graphs the step is a function of tensors that a GPU records."""
    trainings = [Tiny(tmp_path / f"{seed}", seed, graphs=graphs) for seed in (0, 1, 2)]

    together(*trainings)

    assert sizes == [3]
    for each in trainings:
        assert_same(each, alone(Tiny(tmp_path / f"alone{each.seed}", each.seed, graphs=graphs)))


def test_clips_may_stay_where_they_are_stored(tmp_path: Path, sizes: list[int]) -> None:
    """As waveforms do, from which the training computes its features."""
    trainings = [Tiny(tmp_path / f"{seed}", seed, clips=MappedClips) for seed in (0, 1)]

    together(*trainings)

    assert sizes == [2]
    for each in trainings:
        assert_same(each, alone(Tiny(tmp_path / f"alone{each.seed}", each.seed)))


def test_on_a_cpu_the_results_are_those_of_lone_trainings_to_the_last_bit(tmp_path: Path, sizes: list[int]) -> None:
    """Unless the networks are to be computed as one, which is slower there."""
    trainings = [Tiny(tmp_path / f"{seed}", seed, augmentations=[Mixup(0.3)]) for seed in (0, 1)]
    wild = Tiny(tmp_path / "wild", 2, optimizer={"_target_": "torch.optim.SGD", "lr": 1e30})
    fails = Tiny(tmp_path / "fails", 0, augmentations=[FailsLater(), Mixup(0.3)])

    together(trainings[0], wild, fails, trainings[1], stacked=None)

    assert sizes == []
    assert str(wild.error).startswith("training diverged in epoch 1")
    assert isinstance(fails.error, ValueError)
    for each in trainings:
        lone = alone(Tiny(tmp_path / f"alone{each.seed}", each.seed, augmentations=[Mixup(0.3)]))
        assert each.error is None, each.error
        assert each.history == lone.history
        assert each.fitted is not None
        assert each.fitted.best_value == lone.fitted.best_value  # type: ignore[union-attr]


def test_numbers_may_differ(tmp_path: Path, sizes: list[int]) -> None:
    settings: list[dict[str, Any]] = [
        {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.003}, "augmentations": [Mixup(0.1), MaskMels(1, 2)]},
        {
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.1},
            "augmentations": [Mixup(0.5), MaskMels(2, 1)],
            "network": lambda: make_network(dropout=0.5),
        },
        {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.02, "momentum": 0.9}, "augmentations": [Mixup(1.0)]},
    ]

    trainings = [Tiny(tmp_path / f"{place}", 7, **each) for place, each in enumerate(settings)]
    together(*trainings)

    assert sizes == [3]
    for place, each in enumerate(settings):
        assert_same(trainings[place], alone(Tiny(tmp_path / f"alone{place}", 7, **each)))


def test_a_training_that_diverges_does_not_disturb_the_others(tmp_path: Path, sizes: list[int]) -> None:
    wild = Tiny(tmp_path / "wild", 1, optimizer={"_target_": "torch.optim.SGD", "lr": 1e30})
    first, last = Tiny(tmp_path / "first", 0), Tiny(tmp_path / "last", 2)

    together(first, wild, last)

    assert isinstance(wild.error, UserError)
    assert str(wild.error).startswith("training diverged in epoch 1: loss is nan")
    assert str(alone(replace(wild, folder=tmp_path / "other", error=None)).error) == str(wild.error)
    assert sizes == [3, 2]
    for each in (first, last):
        assert_same(each, alone(Tiny(tmp_path / f"alone{each.seed}", each.seed)))


def test_a_checkpoint_is_that_of_a_lone_training(tmp_path: Path) -> None:
    trainings = [Tiny(tmp_path / f"{seed}", seed, epochs=2) for seed in (0, 1)]
    together(*trainings)
    lone = alone(Tiny(tmp_path / "alone", 1, epochs=2))

    joined_state, lone_state = (
        torch.load(folder / "last.ckpt", weights_only=True) for folder in (trainings[1].folder, lone.folder)
    )
    for state in (joined_state, lone_state):
        state["callbacks"]["BestCheckpoint"].pop("weights")
    assert {name: joined_state[name] for name in ("epoch", "global_step", "loops", "lr_schedulers")} == {
        name: lone_state[name] for name in ("epoch", "global_step", "loops", "lr_schedulers")
    }
    size = (trainings[1].folder / "last.ckpt").stat().st_size
    assert size == pytest.approx((lone.folder / "last.ckpt").stat().st_size, rel=0.1)


def test_a_training_is_continued_alone_or_together(tmp_path: Path) -> None:
    begun = [Tiny(tmp_path / f"{seed}", seed, epochs=2) for seed in (0, 1)]
    together(*begun)
    lone = alone(Tiny(tmp_path / "begun_alone", 1, epochs=2))
    whole = alone(Tiny(tmp_path / "whole", 1))

    after_alone = alone(Tiny(tmp_path / "after_alone", 1, resume=tmp_path / "1/last.ckpt"))
    after_together = Tiny(tmp_path / "after_together", 1, resume=lone.folder / "last.ckpt")
    other = Tiny(tmp_path / "other", 0)  # from its first epoch
    together(other, after_together)

    for each in (after_alone, after_together):
        assert each.error is None, each.error
        assert each.history[-1] == pytest.approx(whole.history[-1], abs=1e-5)
        assert each.fitted is not None
        assert whole.fitted is not None
        assert each.fitted.best_epoch == whole.fitted.best_epoch
    assert_same(other, alone(Tiny(tmp_path / "alone0", 0)))


def test_each_architecture_is_a_group(tmp_path: Path, sizes: list[int], caplog: pytest.LogCaptureFixture) -> None:
    kinds = [(6, 0), (8, 0), (6, 1), (8, 1), (10, 0)]
    trainings = [
        Tiny(tmp_path / f"{place}", seed, network=lambda units=units: make_network(units))
        for place, (units, seed) in enumerate(kinds)
    ]

    with caplog.at_level("INFO", logger="dcase_sweep"):
        together(*trainings)

    assert sizes == [2, 2]
    assert [each.message for each in caplog.records if each.message.startswith("alone")] == [
        "alone     no other job is left with its architecture, loss and settings"
    ]
    assert all(len(each.history) == EPOCHS for each in trainings)


@pytest.mark.parametrize(
    ("most", "expected", "reason"),
    [
        (2, [2, 2], "alone     no other job is left with its architecture, loss and settings"),
        (1, [], "alone     hydra.launcher.max_jobs=1"),
    ],
)
def test_a_group_has_no_more_jobs_than_wanted(
    tmp_path: Path, sizes: list[int], caplog: pytest.LogCaptureFixture, most: int, expected: list[int], reason: str
) -> None:
    trainings = [Tiny(tmp_path / f"{seed}", seed, epochs=1) for seed in range(5)]

    with caplog.at_level("INFO", logger="dcase_sweep"):
        together(*trainings, max_jobs=most)

    assert sizes == expected
    assert all(len(each.history) == 1 for each in trainings)
    assert [each.message for each in caplog.records if "alone" in each.message] == [reason] * (5 - sum(expected))


def test_a_job_is_trained_alone_if_the_memory_holds_no_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dcase_sweep.training.fused.coordinator.count_fitting", lambda *_, **__: 1)

    with caplog.at_level("INFO", logger="dcase_sweep"):
        together(*(Tiny(tmp_path / f"{seed}", seed, epochs=1) for seed in (0, 1)))

    assert caplog.text.count("alone     the free memory holds one job at a time") == 2


class Branching(nn.Module):
    """A network whose computation depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4 * 8, 3)

    def forward(self, features: Tensor) -> Tensor:
        flat = features.flatten(1)
        result: Tensor = self.layer(flat if float(flat.mean()) < 1e9 else -flat)
        return result


class Silent(SceneModule):
    """A module of the user's own that does not say that it can be computed with others."""


class Willing(SceneModule):
    """One that says so, but not that the networks can be computed as one."""

    can_join = True

    def compute(self, *inputs: Tensor, **numbers: Any) -> StepValues:
        values = super().compute(*inputs, **numbers)
        return StepValues(2 * values.loss, values.reported)


class Noting(Callback):
    """A callback that is called for each batch."""

    def on_train_batch_end(self, *arguments: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kind": Silent}, "Silent does not say that it can be computed together with others (can_join)"),
        ({"network": Branching}, "its network cannot be computed together with others (RuntimeError: vmap:"),
        ({"callbacks": {"noting": {"_target_": f"{__name__}.Noting"}}}, "the callback Noting is called for each batch"),
        (
            {"optimizer": {"_target_": "torch.optim.LBFGS", "lr": 0.1}, "channels_last": False},
            "torch.optim.LBFGS computes the loss more than once a step",
        ),
    ],
)
def test_what_cannot_be_computed_together_is_trained_alone(
    tmp_path: Path, settings: dict[str, Any], reason: str, sizes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    trainings = [Tiny(tmp_path / f"{seed}", seed, epochs=1, **settings) for seed in (0, 1)]

    with caplog.at_level("INFO", logger="dcase_sweep"):
        together(*trainings)

    assert sizes == []
    assert sum(reason in each.message for each in caplog.records) == 2, caplog.text
    for each in trainings:
        assert_same(each, alone(replace(each, folder=tmp_path / f"alone{each.seed}", history=[])))


def test_a_module_of_the_users_own_is_computed_as_it_says(tmp_path: Path, sizes: list[int]) -> None:
    trainings = [Tiny(tmp_path / f"{seed}", seed, epochs=2, kind=Willing) for seed in (0, 1)]

    together(*trainings)

    assert sizes == []
    for each in trainings:
        lone = alone(replace(each, folder=tmp_path / f"alone{each.seed}", history=[]))
        assert each.history == lone.history
        assert_same(each, lone)


class Noise:
    """An augmentation that draws from the generators of NumPy and Python, and not from its own."""

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        noise = np.random.normal(0, random.random(), (1, *features.shape[1:]))  # noqa: NPY002
        return features + torch.from_numpy(noise).to(features), targets


@pytest.mark.parametrize("stacked", [False, True])
def test_code_of_the_users_own_draws_the_random_numbers_of_its_training(tmp_path: Path, stacked: bool) -> None:
    trainings = [Tiny(tmp_path / f"{seed}", seed, augmentations=[Noise()]) for seed in (0, 1)]

    together(*trainings, stacked=stacked)

    for each in trainings:
        assert_same(each, alone(Tiny(tmp_path / f"alone{each.seed}", each.seed, augmentations=[Noise()])))


class FailsLater:
    """An augmentation that fails at its sixth batch, which is in the second epoch."""

    def __init__(self) -> None:
        self.calls = -1  # it is tried once

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        self.calls += 1
        if self.calls == 6:
            raise ValueError("no more")
        return features, targets


class Halves:
    """An augmentation that leaves half of every second batch."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, features: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return (features[:2], targets[:2]) if self.calls % 2 else (features, targets)


def test_a_training_that_fails_does_not_disturb_the_others(tmp_path: Path, sizes: list[int]) -> None:
    bad = Tiny(tmp_path / "bad", 0, augmentations=[FailsLater()])
    good = [Tiny(tmp_path / f"{seed}", seed, augmentations=[MaskMels(0)]) for seed in (1, 2)]

    together(bad, *good)

    assert isinstance(bad.error, ValueError)
    assert len(bad.history) == 1
    assert sizes == [3, 2]
    for each in good:
        assert_same(each, alone(Tiny(tmp_path / f"alone{each.seed}", each.seed, augmentations=[MaskMels(0)])))


def test_batches_of_different_sizes_are_computed_one_by_one(tmp_path: Path) -> None:
    class Even(Halves):
        """Likewise, but not in the trial before the training."""

        def __init__(self) -> None:
            super().__init__()
            self.calls = -1

    halved = Tiny(tmp_path / "halved", 0, augmentations=[Even()])
    whole = Tiny(tmp_path / "whole", 0, augmentations=[MaskMels(0)])

    together(halved, whole)

    assert_same(halved, alone(Tiny(tmp_path / "halved_alone", 0, augmentations=[Halves()])))
    assert_same(whole, alone(Tiny(tmp_path / "whole_alone", 0, augmentations=[MaskMels(0)])))


def test_a_signal_interrupts_every_training_which_is_continued(tmp_path: Path) -> None:
    seen = []

    def interrupt(clips: int) -> None:
        seen.append(clips)
        if sum(seen) > CLIPS:  # in the second epoch
            signal.raise_signal(signal.SIGINT)

    trainings = [Tiny(tmp_path / f"{seed}", seed, on_batch=interrupt if seed == 0 else None) for seed in (0, 1)]
    with pytest.raises(Interrupted), interruptible():
        together(*trainings)

    assert [len(each.history) for each in trainings] == [1, 1]
    again = [Tiny(tmp_path / f"{seed}", seed, resume=tmp_path / f"{seed}/last.ckpt") for seed in (0, 1)]
    together(*again)
    for each in again:
        whole = alone(Tiny(tmp_path / f"whole{each.seed}", each.seed))
        assert each.history == [pytest.approx(metrics, abs=1e-5) for metrics in whole.history[1:]]


@pytest.mark.parametrize("failing", [0, 5])
def test_networks_that_do_not_fit_in_the_memory_as_one_are_computed_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: int
) -> None:
    steps = []

    class Large(groups.Stack):
        def compute(self, *arguments: Any, **keywords: Any) -> Any:
            if not keywords["draws"]:
                steps.append(len(self.networks))
            if len(steps) > failing:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().compute(*arguments, **keywords)

    monkeypatch.setattr(groups, "Stack", Large)
    trainings = [Tiny(tmp_path / f"{seed}", seed) for seed in (0, 1, 2)]

    together(*trainings)

    assert len(steps) == failing + 1
    assert caplog.text.count("out of memory with 3 networks as one") == 1
    for each in trainings:
        assert_same(each, alone(Tiny(tmp_path / f"alone{each.seed}", each.seed)))


def test_a_step_that_fails_while_it_changes_networks_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(optimizers: Any) -> None:
        optimizers.has_begun = True
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(groups._Optimizers, "step", step)
    trainings = [Tiny(tmp_path / f"{seed}", seed) for seed in (0, 1)]

    together(*trainings)

    for each in trainings:
        assert str(each.error) == "out of memory with 2 jobs together; use hydra.launcher.max_jobs=1"


def test_a_step_of_all_that_fails_ends_only_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(*arguments: Any, **keywords: Any) -> Any:
        raise ValueError("no loss")

    trainings = [Tiny(tmp_path / f"{seed}", seed) for seed in (0, 1)]
    other = Tiny(tmp_path / "other", 2, network=lambda: make_network(units=9))
    monkeypatch.setattr(groups.StackedGroup, "_compute", compute)

    together(*trainings, other)

    assert [str(each.error) for each in trainings] == ["no loss", "no loss"]
    assert len(other.history) == EPOCHS


def test_a_callback_may_stop_a_training_early(tmp_path: Path, sizes: list[int]) -> None:
    stopping = {
        "stop": {
            "_target_": "pytorch_lightning.callbacks.EarlyStopping",
            "monitor": "validation/loss",
            "patience": 0,
            "min_delta": 100.0,
        }
    }
    short, long = Tiny(tmp_path / "short", 0, callbacks=stopping), Tiny(tmp_path / "long", 1)

    together(short, long)

    assert (len(short.history), len(long.history)) == (2, EPOCHS)
    assert sizes == [2, 1]
