"""A Lightning module whose training step is a function of tensors, which can be recorded as a CUDA graph.

Lightning counts steps, calls hooks, updates schedulers and writes checkpoints as without a graph. The recorded step
replaces the parts between its hooks: forward pass, backward pass and update.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import Tensor, nn

from dcase_sweep.training.capturable import describe_obstacle
from dcase_sweep.training.means import EpochMeans
from dcase_sweep.training.step_graph import StepGraph, StepValues, warn_not_used

#: Hooks within a step, which a recorded step cannot call.
_HOOKS = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")


class JoinedEpochs(Protocol):
    """The place of a training in a group that computes the epochs of several trainings together."""

    @property
    def is_stacked(self) -> bool:
        """Whether the network of this training is computed as one with those of the others."""
        ...

    @property
    def stream(self) -> torch.cuda.Stream | None:
        """The stream of a GPU on which the steps of this training are computed; None = the default one."""
        ...

    def train_epoch(self) -> Tensor:
        """Wait for the next epoch to be computed, and return the loss of its last batch."""
        ...

    def complete(self, checkpoint: dict[str, Any]) -> None:
        """Change a checkpoint to that of a training by itself."""
        ...


class StepModule(LightningModule):
    """The base of the modules of both tasks.

    Args:
        seed: seed of the random numbers. Each epoch derives its own from it and the number of the epoch, so that a
            resumed run uses the same random numbers as an uninterrupted one.
    """

    #: Whether to record steps as a graph if possible.
    graphs = False
    #: The reason why steps cannot be recorded, if it is known before the training.
    obstacle: str | None = None
    #: The names of `StepValues.reported`.
    reported: tuple[str, ...] = ("train/loss",)
    #: Whether several trainings can be computed together, by `take_step`. A subclass says so for itself, because it may
    #: compute something else.
    can_join = False
    #: Whether their networks can also be computed as one, by `compute_by`. Each training has one network.
    can_stack = False

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.means = EpochMeans()
        self.step_graph: StepGraph | None = None
        #: The place of this training in a group that computes its epochs; None = it computes them itself.
        self.member: JoinedEpochs | None = None

    @property
    def _is_stacked(self) -> bool:
        return self.member is not None and self.member.is_stacked

    @property
    def _has_whole_steps(self) -> bool:
        """Whether a step is computed as a whole, and not between Lightning's hooks."""
        return self.step_graph is not None or self.member is not None

    def prepare(self, batch: Any) -> tuple[Tensor, ...]:
        """Return the tensors from which a step is computed: the augmented batch."""
        raise NotImplementedError

    def compute(self, *inputs: Tensor, **numbers: Any) -> StepValues:
        """Compute the loss of a batch, and update everything that the step changes except the weights."""
        raise NotImplementedError

    def compute_by(self, call: Callable[[Tensor], Tensor], *inputs: Tensor) -> StepValues:
        """Compute the loss of a batch with this call of the network; only if it `can_stack`."""
        raise NotImplementedError

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The networks that a step computes; only if it `can_join`."""
        raise NotImplementedError

    def has_own_calls(self) -> bool:
        """Whether something else than the `networks` is called, such as compiled ones."""
        return False

    def get_features(self, *inputs: Tensor) -> Tensor:
        """Return what the networks compute on, of the tensors of `prepare`."""
        return inputs[0]

    def step_numbers(self) -> dict[str, float]:
        """Return the arguments of `compute` that are numbers and change from step to step."""
        return {}

    def reported_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Return values to report in addition to those of `compute`."""
        return {}

    def on_train_start(self) -> None:
        if self.graphs and not self._is_stacked:
            self.step_graph = self._make_graph()

    def _make_graph(self) -> StepGraph | None:
        optimizer = self.trainer.optimizers[0]
        obstacle = self.obstacle or find_obstacle(self.trainer) or describe_obstacle(optimizer)
        if obstacle is not None:
            warn_not_used(obstacle)
            return None
        stream = None if self.member is None else self.member.stream
        return StepGraph(self.compute, optimizer, self, can_record=self.device.type == "cuda", stream=stream)

    def forget_graph(self) -> None:
        """Free the memory of the graph."""
        self.step_graph = None

    def on_train_epoch_start(self) -> None:
        self.seed_epoch(self.current_epoch)
        self.means.reset()

    def seed_epoch(self, epoch: int) -> None:
        """Set the random numbers to those of an epoch."""
        torch.manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        self.rng = np.random.default_rng([self.seed, epoch, 7])

    def training_step(self, batch: Any, position: int) -> Tensor:
        return self.take_step(batch) if self.member is None else self.member.train_epoch()

    def take_step(self, batch: Any) -> Tensor:
        """Compute the loss of a batch and note what is reported. A recorded step is taken as a whole."""
        inputs = self.prepare(batch)
        numbers = self.step_numbers()
        values = self.compute(*inputs, **numbers) if self.step_graph is None else self.step_graph(inputs, numbers)
        self.means.add(self.reported, values.reported, len(inputs[0]), self.reported_numbers(numbers))
        return values.loss

    def divide_batch(self, batch: tuple[Tensor, ...], divisor: int) -> Any:
        """Return a batch with fewer clips, at least one of each kind."""
        return tuple(part[: -(-len(part) // divisor)] for part in batch)

    def attempt(self, batch: Any) -> None:
        """Compute the gradients of a batch, to find out if it fits in memory."""
        self.zero_grad(set_to_none=True)
        self.compute(*self.prepare(batch), **self.step_numbers()).loss.backward()
        self.zero_grad(set_to_none=True)

    def log_means(self) -> None:
        """Log the means of the reported values over the epoch."""
        self.log_values(self.means.compute())

    def log_values(self, values: Mapping[str, float]) -> None:
        """Log values of an epoch. They stay in main memory, where nobody waits for the GPU to read them."""
        tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}
        self.log_dict(tensors, on_step=False, on_epoch=True, batch_size=1)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if not self._has_whole_steps:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        if not self._has_whole_steps:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        if not self._has_whole_steps:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        else:
            optimizer_closure()  # the whole step, or epoch, this one included

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the state of the optimizer as without a graph, so that it can be resumed on another device."""
        if self.member is not None and self.member.is_stacked:
            self.member.complete(checkpoint)
        elif self.step_graph is not None:
            states = checkpoint.get("optimizer_states", [])
            checkpoint["optimizer_states"] = [self.step_graph.plain_state(state) for state in states]


def find_obstacle(trainer: Trainer) -> str | None:
    """Return the reason why the settings of a training do not allow recording; None if they do."""
    if trainer.precision == "16-mixed":
        return "hardware.precision=16-mixed scales the loss by what it finds on the GPU"
    if trainer.accumulate_grad_batches != 1 or trainer.gradient_clip_val is not None:
        return "gradients are accumulated or clipped"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        name = type(callback).__name__
        if isinstance(callback, GradientAccumulationScheduler):
            return f"{name} accumulates gradients"
        hook = next((each for each in _HOOKS if getattr(type(callback), each) is not getattr(Callback, each)), None)
        if hook is not None:
            return f"the callback {name} has a hook within the step ({hook})"
    return None
