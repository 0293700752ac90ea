"""Mean teachers that are trained together: on a CPU the results are those of the same trainings one by one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.augmentation.events import EventMixup, FrameShift
from dcase_sweep.training.fused import member as members
from dcase_sweep.training.fused import similarity
from dcase_sweep.training.step_graph import StepGraph
from dcase_sweep.utils.signals import Interrupted, interruptible
from tests.training.fused.event_trainings import STEPS, TinyEvents, make_settings, make_student
from tests.training.fused.trainings import alone, together

#: Trainings that differ in everything that may differ.
SETTINGS: list[dict[str, Any]] = [
    {"seed": 0, "augmentations": [EventMixup(0.5, 0.2), FrameShift(2.0)]},
    {
        "seed": 1,
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.003, "weight_decay": 0.1},
        "network": lambda: make_student(dropout=0.2),
        "augmentations": [EventMixup(1.0, 0.9)],
    },
    {"seed": 2, "settings": make_settings(consistency_weight=0.5, ema_decay=0.99, ramp_epochs=2)},
]


def assert_same(joined: TinyEvents, lone: TinyEvents) -> None:
    """Check that two trainings have the same metrics in each epoch, the same best epoch and the same networks."""
    assert joined.error is None, joined.error
    assert lone.error is None, lone.error
    assert joined.history == lone.history
    assert joined.fitted is not None
    assert lone.fitted is not None
    assert (joined.fitted.best_epoch, joined.fitted.best_value) == (lone.fitted.best_epoch, lone.fitted.best_value)
    expected = lone.module.state_dict()
    assert {name.partition(".")[0] for name in expected} == {"student", "teacher"}
    for name, value in joined.module.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("graphs", [False, True])
def test_they_have_the_losses_of_lone_trainings_to_the_last_bit(tmp_path: Path, graphs: bool) -> None:
    """With graphs each step is the function that a GPU records."""
    trainings = [TinyEvents(tmp_path / f"{place}", graphs=graphs, **each) for place, each in enumerate(SETTINGS)]

    together(*trainings, stacked=None)

    names = {"train/loss", "train/loss_strong", "train/teacher_loss_weak", "train/consistency_strong"}
    for place, each in enumerate(SETTINGS):
        assert names <= trainings[place].history[0].keys()
        assert_same(trainings[place], alone(TinyEvents(tmp_path / f"alone{place}", graphs=graphs, **each)))


def test_in_bfloat16_too(tmp_path: Path) -> None:
    trainings = [TinyEvents(tmp_path / f"{seed}", seed, precision="bf16-mixed", epochs=1) for seed in (0, 1)]

    together(*trainings, stacked=None)

    for each in trainings:
        assert_same(each, alone(replace(each, folder=tmp_path / f"alone{each.seed}", history=[])))


class FailsLater:
    """An augmentation that fails in the second epoch."""

    def __init__(self) -> None:
        self.calls = -1  # it is tried once

    def __call__(
        self, features: Tensor, targets: EventTargets, rng: np.random.Generator
    ) -> tuple[Tensor, EventTargets]:
        self.calls += 1
        if self.calls == STEPS + 2:
            raise ValueError("no more")
        return features, targets


def test_those_that_diverge_or_fail_do_not_disturb_the_others(tmp_path: Path) -> None:
    good = [TinyEvents(tmp_path / f"{seed}", seed) for seed in (0, 1)]
    wild = TinyEvents(tmp_path / "wild", 2, optimizer={"_target_": "torch.optim.SGD", "lr": float("nan")})
    no_number = TinyEvents(tmp_path / "no_number", 4, settings=make_settings(consistency_weight=float("nan")))
    bad = TinyEvents(tmp_path / "bad", 3, augmentations=[FailsLater()])

    together(good[0], wild, no_number, bad, good[1], stacked=None)

    for each in (wild, no_number):
        assert str(each.error).startswith("training diverged in epoch 1: loss is nan")
        lone = alone(replace(each, folder=each.folder.with_suffix(".alone"), error=None, history=[]))
        assert str(lone.error) == str(each.error)
    assert isinstance(bad.error, ValueError)
    assert len(bad.history) == 1
    for each in good:
        assert_same(each, alone(TinyEvents(tmp_path / f"alone{each.seed}", each.seed)))


def test_an_interrupted_one_is_continued_together_or_alone(tmp_path: Path) -> None:
    seen = []

    def interrupt(clips: int) -> None:
        seen.append(clips)
        if sum(seen) > 5 * STEPS:  # in the second epoch
            signal.raise_signal(signal.SIGINT)

    trainings = [TinyEvents(tmp_path / f"{seed}", seed, on_batch=interrupt if seed == 0 else None) for seed in (0, 1)]
    with pytest.raises(Interrupted), interruptible():
        together(*trainings, stacked=None)

    assert [len(each.history) for each in trainings] == [1, 1]
    last = [tmp_path / f"{seed}/last.ckpt" for seed in (0, 1)]
    again = [TinyEvents(tmp_path / f"again{seed}", seed, resume=last[seed]) for seed in (0, 1)]
    together(*again, stacked=None)
    lone = alone(TinyEvents(tmp_path / "lone", 1, resume=last[1]))
    for each in (*again, lone):
        whole = alone(TinyEvents(tmp_path / f"whole{each.folder.name}", each.seed))
        assert each.history == whole.history[1:]
        whole.history = each.history
        assert_same(each, whole)


def test_each_architecture_and_each_batch_is_a_group(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"network": lambda: make_student(units=6)},
        {"settings": make_settings(unlabelled=1)},
        {},
    ]
    trainings = [TinyEvents(tmp_path / f"{place}", place, epochs=1, **each) for place, each in enumerate(kinds)]

    with caplog.at_level("INFO", logger="dcase_sweep"):
        together(*trainings)

    said = [each.message for each in caplog.records]
    assert "together  2 jobs of one architecture: #0, #3" in said
    assert said.count("alone     no other job is left with its architecture, loss and settings") == 2
    assert "stacked   not used: networks of MeanTeacherModule are not computed as one" in said
    assert all(len(each.history) == 1 for each in trainings)


def test_as_many_are_trained_together_as_fit_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU one step at a time has its activations in memory, those of the teacher among them."""
    found: list[similarity.Prepared] = []
    count = similarity.count_fitting

    def note(prepared: similarity.Prepared, *, is_stacked: bool) -> int:
        found.append(prepared)
        of_step, of_training = 4 * prepared.activations, prepared.count_bytes() + similarity._PER_JOB
        for free, expected in ((0, 1), (of_step + 3.5 * of_training, 3), (of_step + 2.5 * of_training, 2)):
            monkeypatch.setattr(similarity, "available_bytes", lambda free=free: 1.25 * free)
            assert count(prepared, is_stacked=is_stacked) == expected
        return 2

    monkeypatch.setattr("dcase_sweep.training.fused.coordinator.count_fitting", note)
    trainings = [TinyEvents(tmp_path / f"{seed}", seed, epochs=1) for seed in range(3)]
    with caplog.at_level("INFO", logger="dcase_sweep"):
        together(*trainings, stacked=None)

    assert "together  2 jobs of one architecture: #0, #1" in caplog.text
    student, teacher = (4 * one.activations for one in found[0].passes)
    assert student == teacher > 0
    clips = len(found[0].inputs[0])
    assert 4 * found[0].activations == pytest.approx((2 * student + teacher) * 5 / clips, abs=4)
    parameters = sum(each.numel() for each in make_student().parameters())
    assert found[0].count_bytes() == 4 * 7 * parameters


class _Stream:
    """A stream that notes when it is used."""

    used: ClassVar[list[str]] = []

    def __init__(self, device: torch.device) -> None:
        self.name = chr(ord("a") + len({each[0] for each in self.used}))
        self.stream = f"stream of {self.name}"
        self.random = torch.zeros(0)
        self.used.append(f"{self.name} made")

    def begin(self, random: Tensor) -> None:
        self.random = random
        self.used.append(f"{self.name} begins")

    @contextmanager
    def active(self) -> Iterator[None]:
        self.used.append(self.name)
        yield

    def end(self) -> Tensor:
        self.used.append(f"{self.name} ends")
        return self.random


def test_on_a_gpu_each_has_a_stream_and_a_recorded_step_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With streams that only note what is done, on a CPU. The steps of an epoch are started without waiting."""
    _Stream.used = []
    graphs: list[dict[str, Any]] = []
    restored: list[Tensor] = []

    def make(*arguments: Any, stream: Any, **more: Any) -> StepGraph:
        graphs.append({"stream": stream})
        return StepGraph(*arguments, **more)

    def enter(self: members.Member, *, is_stacked: bool) -> None:
        assert not is_stacked
        self._own_stream = _Stream(self.device)  # type: ignore[assignment]

    monkeypatch.setattr(members.Member, "enter", enter)
    monkeypatch.setattr("dcase_sweep.training.step_module.StepGraph", make)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor([7]))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append(state))
    trainings = [TinyEvents(tmp_path / f"{seed}", seed, graphs=True, epochs=2) for seed in (0, 1)]
    bad = TinyEvents(tmp_path / "bad", 3, graphs=True, epochs=2, augmentations=[FailsLater()])

    together(*trainings, bad, stacked=None)

    epoch = ["a begins", "b begins", "c begins", *["a", "b", "c"] * STEPS, "a ends", "b ends", "c ends"]
    after_failure = ["a begins", "b begins", "c begins", *"abcab", "c", "c ends", *"ab" * 2, "a ends", "b ends"]
    assert _Stream.used == ["a made", "b made", "c made", *epoch, *after_failure]
    assert [each["stream"] for each in graphs] == ["stream of a", "stream of b", "stream of c"]
    assert len(restored) == 5
    monkeypatch.undo()
    for each in trainings:
        assert_same(each, alone(TinyEvents(tmp_path / f"alone{each.seed}", each.seed, graphs=True, epochs=2)))
