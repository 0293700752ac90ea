"""Recorded steps on a GPU, compared with others, and errors of recordings. Skipped without a GPU."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from tests.benchmarks import fused_trainings, gpu_data

if not torch.cuda.is_available():
    pytest.skip("PyTorch finds no GPU on this machine", allow_module_level=True)

STEPS = 50


def make(task: str, *overrides: str) -> Any:
    fixed = ("hardware=gpu", "training.epochs=2", "hardware.precision=32-true", "hardware.deterministic=true")
    if task == "scenes":
        features = gpu_data.random_features((16 * STEPS + 5 + 16, 40, 500), "cuda")
        return gpu_data.scene_learner(features, (16 * STEPS + 5, 16), *fixed, *overrides)
    features = abs(gpu_data.random_features((gpu_data.event_sizes(STEPS, (8, 8)), 128, 626), "cuda"))
    return gpu_data.event_learner(features, STEPS, (8, 8), *fixed, *overrides)


def train(learner: Any, folder: Any) -> list[float]:
    """The losses of the first epoch's steps."""
    losses: list[torch.Tensor] = []
    step = learner.module.training_step

    def noted(*arguments: Any) -> torch.Tensor:
        loss: torch.Tensor = step(*arguments)
        losses.append(loss.detach().clone())
        return loss

    learner.module.training_step = noted
    learner.fit(folder, extra={}, on_epoch=lambda epoch, metrics: None)
    return torch.stack(losses[:STEPS]).tolist()


@pytest.mark.parametrize("task", ["scenes", "events"])
def test_recorded_steps_give_the_losses_of_others(task: str, tmp_path: Any) -> None:
    eager = train(make(task, "hardware.graphs=false"), tmp_path / "eager")
    graph = train(make(task, "hardware.graphs=true"), tmp_path / "graph")

    assert graph == pytest.approx(eager, rel=1e-2)
    assert graph[:5] == pytest.approx(eager[:5], rel=1e-4)


@pytest.mark.parametrize("task", ["scenes", "events"])
def test_one_recording_lasts_a_training(task: str, tmp_path: Any) -> None:
    learner, recordings = make(task), []
    forget = learner.module.forget_graph

    def forgotten() -> None:
        if learner.module.step_graph is not None:
            recordings.append((learner.module.step_graph.recordings, learner.module.step_graph.can_record))
        forget()

    learner.module.forget_graph = forgotten
    train(learner, tmp_path)

    assert recordings == [(1, True)]


class Waits(torch.nn.CrossEntropyLoss):
    """A loss that waits for its value."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = super().forward(logits, targets)
        return loss if float(loss) >= 0 else -loss


class Fails(torch.nn.CrossEntropyLoss):
    """A loss that cannot be recorded, although it does not wait for the device."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize()
        return super().forward(logits, targets)


@pytest.mark.parametrize(
    ("loss", "says"), [(Waits(), "the step waits for the GPU"), (Fails(), "the step cannot be recorded")]
)
def test_a_step_that_cannot_be_recorded_is_trained_without(
    loss: torch.nn.Module, says: str, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = train(make("scenes", "hardware.graphs=false"), tmp_path / "eager")
    learner = make("scenes")
    learner.module.loss = loss

    losses = train(learner, tmp_path / "graph")

    assert losses == pytest.approx(expected, rel=1e-2)
    assert [record.getMessage() for record in caplog.records if says in record.getMessage()]


def test_a_batch_that_does_not_fit_is_reported_in_one_line(tmp_path: Any) -> None:
    from dcase_sweep.utils.errors import UserError

    learner = make("scenes", "training.batch_size=805")
    torch.cuda.set_per_process_memory_fraction(3 * 2**30 / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.raises(UserError, match=r"^out of memory.*training.batch_size=805; use training.batch_size=\d+,"):
            train(learner, tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def check_together(folder: Any, make_learner: Callable[..., Any]) -> None:
    """Check that three seeds trained together have about the losses of lone ones.

    Args:
        folder: a folder for their files.
        make_learner: overrides → learner.
    """

    def train_all(name: str, run: Any) -> list[list[float]]:
        losses: list[list[float]] = [[], [], []]

        def train_one(seed: int) -> None:
            overrides = ("hardware=gpu", "training.epochs=3", "hardware.precision=32-true", f"seed={seed}")
            make_learner(*overrides).fit(
                folder / f"{name}{seed}",
                extra={},
                on_epoch=lambda epoch, metrics: losses[seed].append(metrics["train/loss"]),
            )

        run([lambda seed=seed: train_one(seed) for seed in range(3)])
        return losses

    together, alone = train_all("together", fused_trainings.run_together), train_all("alone", fused_trainings.run_alone)

    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, rel=1e-2)
        assert one[0] == pytest.approx(other[0], rel=1e-3)


def test_trainings_in_one_graph_give_the_losses_of_lone_ones(tmp_path: Any) -> None:
    """Without dropout, of which the group draws other masks than a training by itself."""
    sizes = (16 * STEPS + 5, 16)
    features = fused_trainings.store(gpu_data.random_features((sum(sizes), 40, 500), "cuda"), tmp_path)

    check_together(tmp_path, partial(gpu_data.scene_learner, features, sizes, "model.dropout=0"))


def test_mean_teachers_beside_one_another_give_the_losses_of_lone_ones(tmp_path: Any) -> None:
    """Each has a stream, a recorded step and random numbers of its own, those of dropout among them."""
    shape = (gpu_data.event_sizes(STEPS, (8, 8)), 128, 626)
    features = fused_trainings.store(abs(gpu_data.random_features(shape, "cuda")), tmp_path)

    check_together(tmp_path, partial(gpu_data.event_learner, features, STEPS, (8, 8)))
