"""A group of trainings whose networks are computed as one."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dcase_sweep.ops.can_fuse import only_layers
from dcase_sweep.training.capturable import describe_obstacle
from dcase_sweep.training.fused.dropout import Dropouts, ForwardPass, trace
from dcase_sweep.training.fused.group import Failures, Group
from dcase_sweep.training.fused.member import Member, PreparedBatch
from dcase_sweep.training.fused.stack import Stack
from dcase_sweep.training.gpu_memory import release_memory
from dcase_sweep.training.step_graph import StepGraph, StepValues, warn_not_used

log = logging.getLogger(__name__)


class _Optimizers:
    """The optimizers of several trainings as one, as far as `StepGraph` uses it."""

    def __init__(self, optimizers: Sequence[Optimizer], stack: Stack) -> None:
        self._optimizers = optimizers
        self._stack = stack
        #: Whether some of them may have changed their parameters in the latest step.
        self.has_begun = False

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    @property
    def state(self) -> dict[Any, Any]:
        return {parameter: state for optimizer in self._optimizers for parameter, state in optimizer.state.items()}

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.has_begun = False
        self._stack.zero_grad()

    def step(self) -> None:
        self.has_begun = True
        self._stack.share_gradients()
        for optimizer in self._optimizers:
            optimizer.step()


class StackedGroup(Group):
    """Trainings whose networks are computed by one forward and one backward pass.

    Args:
        members: the trainings, which have the same numbers of clips and of batches, and one network each. The networks
            differ in nothing but their values.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__(members)
        self._stack: Stack | None = None
        self._optimizers: _Optimizers | None = None
        self._graph: StepGraph | None = None
        #: Whether the memory is too small for a step of all networks as one.
        self._is_divided = False
        self._passes: dict[Any, list[ForwardPass]] = {}
        self._rates: dict[Any, Tensor] = {}
        self._inputs = 0
        #: Per member: the sums of the reported values, the clips, and the latest loss or the first infinite one.
        self._sums: Tensor | None = None
        self._clips = torch.zeros(0)
        self._losses = torch.zeros(0)

    def _forget(self, kept: Sequence[int]) -> None:
        if self._sums is not None:
            self._sums, self._clips, self._losses = self._sums[kept], self._clips[kept], self._losses[kept]
        self._stack = None

    def _begin(self) -> None:
        if self._stack is not None and not self._stack.is_current():  # a callback has replaced or frozen weights
            self._stack = None
        if self._graph is not None:
            self._graph.look_again()
        self._sums = None

    def _take_step(self, failures: Failures) -> int:
        prepared = self._prepare(failures)
        if not prepared:
            return 0
        self._add(self._compute(prepared), [len(batch.inputs[0]) for batch in prepared])
        return prepared[0].clips

    def _end(self, failures: Failures) -> None:
        """Give each member the values of its epoch, in one transfer of the losses."""
        if self._sums is None:
            return
        for place, (member, loss) in enumerate(zip(self.members, self._losses.cpu(), strict=True)):
            member.loss = loss.clone()
            member.module.means.replace(member.module.reported, self._sums[place], int(self._clips[place]))

    def _prepare(self, failures: Failures) -> list[PreparedBatch]:
        """Return the next batch of each member."""
        places = {id(member): place for place, member in enumerate(self.members)}

        def prepare(member: Member) -> PreparedBatch:
            return member.prepare(lambda inputs: self._draw(places[id(member)], inputs))

        with self._precision():
            return self._each(prepare, failures)

    def _compute(self, prepared: Sequence[PreparedBatch]) -> Tensor:
        """Perform a step, and return the loss and the reported values of each member ``[member, value]``."""
        if self._stack is None:
            self._build()
        assert self._optimizers is not None
        if not self._is_divided and len({batch.describe() for batch in prepared}) == 1:
            try:
                return self._compute_as_one(prepared)
            except torch.OutOfMemoryError:
                if self._optimizers.has_begun or len(prepared) == 1:
                    raise
            self._divide()  # after the error is handled: see release_memory
        return self._compute_one_by_one(prepared)

    def _compute_as_one(self, prepared: Sequence[PreparedBatch]) -> Tensor:
        assert self._optimizers is not None
        inputs = [torch.stack(parts) for parts in zip(*(batch.inputs for batch in prepared), strict=True)]
        self._inputs = len(inputs)
        dropouts = [torch.stack(masks) for masks in zip(*(batch.dropouts for batch in prepared), strict=True)]
        with self._precision():
            if self._graph is not None:
                return self._graph((*inputs, *dropouts), {}).reported
            self._optimizers.zero_grad()
            values = self._step(*inputs, *dropouts)
        values.loss.backward()
        self._optimizers.step()
        return values.reported

    def _divide(self) -> None:
        """Compute the networks one by one from now on. No step has changed them since the latest complete one."""
        assert self._optimizers is not None
        log.warning(
            f"together  out of memory with {len(self.members)} networks as one: they are computed one after the other"
        )
        self._is_divided = True
        self._optimizers.zero_grad()
        if self._graph is not None:
            self._graph.stop_recording()
        release_memory()

    def _compute_one_by_one(self, prepared: Sequence[PreparedBatch]) -> Tensor:
        """Perform a step of each network.

        That is for batches whose shapes an augmentation has made different, and for those that need too much memory.
        """
        rows = []
        for member, batch in zip(self.members, prepared, strict=True):
            with self._precision(), Dropouts(batch.dropouts, draws=batch.inputs[0].is_cuda), only_layers():
                values = member.module.compute_by(member.network, *batch.inputs)
            rows.append(member.update(values))
        return torch.stack(rows)

    def _precision(self) -> AbstractContextManager[None]:
        return self.members[0].precision()

    def _add(self, values: Tensor, sizes: list[int]) -> None:
        """Add the values of a step, whose batches have so many clips, to those of the epoch."""
        counts = torch.tensor(sizes)
        is_same = len(set(sizes)) == 1
        losses, reported = values[:, 0], values[:, 1:] * (sizes[0] if is_same else counts.to(values.device)[:, None])
        if self._sums is None:
            self._sums, self._clips, self._losses = reported, counts, losses.clone()
        else:
            self._sums, self._clips = self._sums + reported, self._clips + counts
            self._losses = torch.where(torch.isfinite(self._losses), losses, self._losses)

    def _build(self) -> None:
        """Stack the networks as they are."""
        first = self.members[0].module
        networks = [member.network for member in self.members]
        optimizers = [member.optimizer for member in self.members]
        self._passes, self._rates = {}, {}
        self._stack = Stack(networks)
        self._optimizers = _Optimizers(optimizers, self._stack)
        self._graph = None
        if not first.graphs:
            return
        obstacle = next(filter(None, map(describe_obstacle, optimizers)), None)
        if obstacle is not None:
            warn_not_used(obstacle)
            return
        both: Any = self._optimizers
        can_record = first.device.type == "cuda"
        # Callbacks change networks between epochs. Looking at all of them in each step takes as long as preparing it.
        self._graph = StepGraph(self._step, both, nn.ModuleList(networks), can_record=can_record, looks_always=False)
        groups = 0
        for member, optimizer in zip(self.members, optimizers, strict=True):
            member.use_graph(self._graph, groups)
            groups += len(optimizer.param_groups)

    def _step(self, *tensors: Tensor, **numbers: Any) -> StepValues:
        """Compute the losses of all members; this is what is recorded."""
        assert self._stack is not None
        module = self.members[0].module

        def step(call: Callable[[Tensor], Tensor], *inputs: Tensor) -> tuple[Tensor, Tensor]:
            values = module.compute_by(call, *inputs)
            return values.loss, values.reported

        inputs, dropouts = tensors[: self._inputs], tensors[self._inputs :]
        losses, reported = self._stack.compute(step, inputs, dropouts, draws=inputs[0].is_cuda)
        return StepValues(losses.sum(), torch.cat([losses.detach().float()[:, None], reported], dim=1))

    def _draw(self, place: int, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Return the masks of dropout of a member, or its probabilities on a GPU, which draws the masks itself.

        Called in the context of the precision.
        """
        shape = inputs[0].shape
        if (place, shape) in self._rates:
            return [self._rates[place, shape]]
        if shape not in self._passes:
            self._passes[shape] = [trace(member.network, inputs[0]) for member in self.members]
        passes = self._passes[shape]
        used = [
            any(calls) for calls in zip(*([each.probability for each in one.dropouts] for one in passes), strict=True)
        ]
        if not any(used):
            return []
        if inputs[0].is_cuda:
            rates = [call.probability for call in passes[place].dropouts]
            self._rates[place, shape] = torch.tensor(rates, device=inputs[0].device)  # copied to the GPU once
            return [self._rates[place, shape]]
        return [call.draw() for call in passes[place].dropouts]
