"""One training in a group of trainings, as Lightning and as the group see it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dcase_sweep.training.batches import EpochBatches
from dcase_sweep.training.fused.streams import OwnStream
from dcase_sweep.training.step_graph import StepGraph, StepValues
from dcase_sweep.utils.turns import GlobalState, Turn

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from dcase_sweep.training.step_module import StepModule

#: Batches between two reports of progress.
_INTERVAL = 16


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """The batch of a member.

    Attributes:
        clips: number of clips.
        inputs: the tensors from which a step is computed.
        dropouts: the masks of each call of dropout, or on a GPU the probabilities.
    """

    clips: int
    inputs: tuple[Tensor, ...]
    dropouts: list[Tensor]

    def describe(self) -> Any:
        """Return the shapes and types."""
        return tuple((each.shape, each.dtype) for each in self.inputs)


class Member:
    """A training whose epochs are computed by a group.

    Lightning sees an epoch as a single batch, whose training step waits for the group. Everything else of an epoch is
    that of a training by itself: validation, checkpoints, schedulers, callbacks.

    Args:
        trainer: the trainer of the training.
        module: the trained module.
        batches: its batches.
        turn: the thread that runs the training.
        generators: the default generators of the CPU from which its steps draw.

    Attributes:
        loss: the loss of the last batch, or the first one that is not finite.
        is_stacked: whether its network is computed as one with those of the others; set by `enter`.
    """

    def __init__(
        self,
        trainer: "Trainer",
        module: "StepModule",
        batches: EpochBatches,
        turn: Turn,
        generators: Sequence[GlobalState],
    ) -> None:
        self.trainer = trainer
        self.module = module
        self.batches = batches
        self.turn = turn
        self.loss = torch.zeros(())
        self.is_stacked = False
        self._generators = generators
        self._random = self._read_random()
        self._random_of_gpu: Tensor | None = None
        self._own_stream: OwnStream | None = None
        self._loaded: Iterator[tuple[Tensor, ...]] = iter(())
        self._graph: tuple[StepGraph, int] | None = None
        self._unreported: list[int] = []

    @property
    def device(self) -> torch.device:
        """The device of the training."""
        device: torch.device = self.trainer.strategy.root_device
        return device

    @property
    def stream(self) -> torch.cuda.Stream | None:
        """The stream on which steps are computed; None = the default one."""
        return None if self._own_stream is None else self._own_stream.stream

    @property
    def network(self) -> nn.Module:
        """The network that is computed as one with others; only if the module can be stacked."""
        return self.module.networks[0]

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of this training."""
        return self.trainer.optimizers[0]

    def enter(self, *, is_stacked: bool) -> None:
        """Enter a group, before the training starts."""
        self.is_stacked = is_stacked
        if not is_stacked and self.device.type == "cuda":
            self._own_stream = OwnStream(self.device)

    def train_epoch(self) -> Tensor:
        """Wait until the group has computed an epoch, and return `loss`. Called by Lightning in the turn's thread."""
        self._report(0)  # may raise OutOfTime
        self._random = self._read_random()
        if self._own_stream is not None:
            self._random_of_gpu = torch.cuda.get_rng_state(self.device)
        self.turn.wait_for(self)
        self._write_random()
        if self._random_of_gpu is not None:
            torch.cuda.set_rng_state(self._random_of_gpu, self.device)
        return self.loss

    def begin(self) -> None:
        """Begin an epoch. This and the methods below are called by the group."""
        self._unreported = []
        self.loss = torch.zeros((), device=self.device)
        if self._own_stream is not None and self._random_of_gpu is not None:
            self._own_stream.begin(self._random_of_gpu)
        self._loaded = self.batches.load()

    def end(self) -> None:
        """End an epoch that this training has computed by itself."""
        if self._own_stream is not None:
            self._random_of_gpu = self._own_stream.end()
        self.loss = self.loss.cpu()

    def abandon(self) -> None:
        """End an epoch that is not computed to its end."""
        if self._own_stream is not None:
            self._own_stream.end()

    def prepare(self, draw: Callable[[tuple[Tensor, ...]], list[Tensor]]) -> PreparedBatch:
        """Return the next batch, prepared for the step. Called in the context of `precision`.

        Args:
            draw: returns the masks of dropout for the batch; called with the random numbers of this training.
        """
        with self.own_random():
            batch = self._load()
            inputs = self.module.prepare(batch)
            return PreparedBatch(len(batch[0]), inputs, draw(inputs))

    def take_step(self) -> int:
        """Perform the next step by itself, and return the number of clips in its batch. It never waits for a GPU."""
        with self.own_random(), nullcontext() if self._own_stream is None else self._own_stream.active():
            batch = self._load()
            with self.precision():
                loss = self.module.take_step(batch)
            if self.module.step_graph is None:
                self._update(loss)
            self.loss = torch.where(torch.isfinite(self.loss), loss.detach().to(self.loss.dtype), self.loss)
        return len(batch[0])

    def _load(self) -> tuple[Tensor, ...]:
        """Return the next batch on the device of the training."""
        return tuple(each.to(self.device, non_blocking=True) for each in next(self._loaded))

    def update(self, values: StepValues) -> Tensor:
        """Update the network, and return the loss and the reported values ``[value]``."""
        self._update(values.loss)
        return torch.cat([values.loss.detach().float().reshape(1), values.reported])

    def _update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def precision(self) -> AbstractContextManager[None]:
        """Context of the configured precision."""
        return self.trainer.precision_plugin.train_step_context()

    @contextmanager
    def own_random(self) -> Iterator[None]:
        """Context in which the random numbers on the CPU are those of this training."""
        self._write_random()
        try:
            yield
        finally:
            self._random = self._read_random()

    def _read_random(self) -> list[Any]:
        return [each.read() for each in self._generators]

    def _write_random(self) -> None:
        for generator, state in zip(self._generators, self._random, strict=True):
            generator.write(state)

    def end_step(self, clips: int, *, is_last: bool) -> None:
        """Count a step as Lightning does, and report the progress. Lightning itself counts the last one of an epoch."""
        self._unreported.append(clips)
        if is_last or len(self._unreported) == _INTERVAL:
            self._report(sum(self._unreported))
            self._unreported = []
        if is_last:
            return
        loop = self.trainer.fit_loop.epoch_loop
        loop.update_lr_schedulers("step", update_plateau_schedulers=False)
        loop.batch_progress.increment_by(1, is_last_batch=True)
        progress = loop.automatic_optimization.optim_progress.optimizer
        progress.step.increment_by(1)
        progress.zero_grad.increment_by(1)
        loop.on_load_checkpoint({name: count + 1 for name, count in loop.on_save_checkpoint().items()})

    def use_graph(self, graph: StepGraph, first_group: int) -> None:
        """Set the recorded step, of whose optimizers this training's begins at a parameter group."""
        self._graph = graph, first_group

    def complete(self, checkpoint: dict[str, Any]) -> None:
        """Change a checkpoint to that of a training by itself.

        Tensors that are part of larger ones would be saved with them.
        """
        checkpoint["state_dict"] = {name: value.clone() for name, value in checkpoint["state_dict"].items()}
        if self._graph is not None:
            graph, first = self._graph
            states = checkpoint.get("optimizer_states", [])
            checkpoint["optimizer_states"] = [graph.plain_state(state, first) for state in states]

    def _report(self, clips: int) -> None:
        if self.batches.on_batch is not None:
            self.batches.on_batch(clips)


class WholeEpochs:
    """What Lightning iterates over in place of the batches: one item an epoch."""

    def __init__(self, batches: EpochBatches) -> None:
        self._batches = batches
        # Lightning uses these two to set the epoch, and to see that it need not add its own shuffling.
        self.sampler = self
        self.batch_sampler = None

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order."""
        self._batches.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Tensor]:
        yield torch.empty(0)
