"""A training step that is recorded once as a CUDA graph and then replayed.

A step of a small network is hundreds of kernels of a few microseconds, and Python takes longer to launch them than the
GPU to run them. A graph is launched at once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). What is
recorded is the whole step: forward and backward pass, the update of the weights and whatever else it changes. It reads
its batch and the numbers that change from step to step, the learning rate among them, from tensors on the device.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

log = logging.getLogger(__name__)

#: Steps before the recording: libraries choose their algorithms and the optimizer makes its state.
WARM_UP = 3
#: A step that changes more often than this is not recorded again.
MOST_RECORDINGS = 8
#: Of an optimizer's groups, what may change between steps without a new recording.
_FREE = ("params", "lr", "initial_lr")
#: Settings by which an optimizer keeps its state on the GPU.
_ON_DEVICE = ("capturable", "fused")


@dataclass(frozen=True, slots=True)
class StepValues:
    """What a training step gives.

    Attributes:
        loss: a number, which the weights are changed by.
        reported: the values that are reported as means over an epoch, without gradients ``[value]``.
    """

    loss: Tensor
    reported: Tensor


#: A batch's tensors, and numbers by their names → what the step gives, with gradients.
Compute = Callable[..., StepValues]


@dataclass(frozen=True, slots=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    #: What the graph depends on beside its inputs and numbers.
    key: Any
    inputs: tuple[Tensor, ...]
    values: StepValues


def describe_obstacle(optimizer: Optimizer) -> str | None:
    """Why the steps of an optimizer cannot be recorded; None if they can."""
    name = type(optimizer).__name__
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            return f"the learning rate of {name} is a tensor"
        if "capturable" not in group and type(optimizer) is not SGD:
            return f"{name} cannot be recorded"
    return None


def make_capturable(optimizer: Optimizer) -> None:
    """Let an optimizer keep all of its state on the GPU, its count of steps included; on a CPU nothing changes."""
    for group in optimizer.param_groups:
        if not all(parameter.is_cuda for parameter in group["params"]):
            continue
        if "capturable" in group:
            group["capturable"] = True
        if group.get("fused", False) is None and group.get("foreach") is None:
            group["fused"] = True
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.device, torch.float32)


class StepGraph:
    """An optimizer step of one kind, recorded at its fourth batch and replayed from then on.

    Batches of another shape than the first, as the last one of an epoch often is, take the same step without a graph.
    A step that cannot be recorded is taken without a graph too, after one line that says why. Where the network is
    changed between two steps, by a callback that freezes a layer for instance, the step is recorded again.

    Args:
        compute: the step's loss; it must neither wait for the device nor depend on its values.
        optimizer: its learning rates may change from step to step.
        module: has all parameters and buffers that the step reads or changes.
        can_record: False takes every step without a graph, as on a CPU.
    """

    def __init__(self, compute: Compute, optimizer: Optimizer, module: nn.Module, *, can_record: bool) -> None:
        self.compute = compute
        self.optimizer = optimizer
        self.can_record = can_record
        self.recordings = 0
        self._parameters = list(module.parameters())
        self._buffers = list(module.buffers())
        self._layers = list(module.modules())
        self._device = self._parameters[0].device
        self._plain = [{name: group[name] for name in _ON_DEVICE if name in group} for group in self._groups()]
        self._stream = torch.cuda.Stream(self._device) if can_record else None
        self._rates: list[Tensor] = []
        self._numbers: dict[str, Tensor] = {}
        self._written: dict[Any, float] = {}
        self._shapes: Any = None
        self._warm = 0
        self._recording: _Recording | None = None
        make_capturable(optimizer)

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """A graph belongs to the tensors that it was recorded with: a copy of a module has none."""
        return

    def __call__(self, inputs: tuple[Tensor, ...], numbers: Mapping[str, float]) -> StepValues:
        """Take one step; the values are overwritten by the next one.

        Args:
            inputs: the batch.
            numbers: what else ``compute`` takes, by name.
        """
        self._write_numbers(numbers)
        if not self.can_record:
            return self._step(inputs)
        shapes = tuple((each.shape, each.dtype) for each in inputs)
        self._shapes = self._shapes or shapes
        if shapes != self._shapes:
            return self._step(inputs)
        key = self._key()
        if self._recording is not None and self._recording.key != key:
            self._recording, self._warm = None, 0
            if self.recordings >= MOST_RECORDINGS:
                return self._go_on_without(inputs, "the network or its optimizer changes too often")
        if self._recording is None:
            if self._warm < WARM_UP:
                return self._warm_up(inputs)
            try:
                self._recording = self._record(inputs, key)
            except RuntimeError as error:
                return self._go_on_without(inputs, f"the step cannot be recorded ({_first_line(error)})")
        for held, given in zip(self._recording.inputs, inputs, strict=True):
            held.copy_(given)
        self._recording.graph.replay()
        return self._recording.values

    def plain_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state of the optimizer as it would be without a graph: a training may be continued on another device.

        Args:
            state: what its ``state_dict`` gives, which is left as it is.
        """
        groups = [group | plain for group, plain in zip(state["param_groups"], self._plain, strict=False)]
        values = {
            place: {
                name: value.cpu() if name == "step" and torch.is_tensor(value) else value for name, value in of.items()
            }
            for place, of in state["state"].items()
        }
        return state | {"state": values, "param_groups": [*groups, *state["param_groups"][len(groups) :]]}

    def _write_numbers(self, numbers: Mapping[str, float]) -> None:
        """Bring the numbers and the learning rates to the device; what has not changed is there."""
        groups = self.optimizer.param_groups
        while len(self._rates) < len(groups):
            self._rates.append(torch.zeros((), device=self._device))
        for name in numbers:
            if name not in self._numbers:
                self._numbers[name] = torch.zeros((), device=self._device)
        values: dict[Any, tuple[Tensor, float]] = {name: (self._numbers[name], numbers[name]) for name in numbers}
        values |= {place: (self._rates[place], group["lr"]) for place, group in enumerate(groups)}
        for name, (tensor, value) in values.items():
            if self._written.get(name) != value:
                tensor.fill_(value)
                self._written[name] = value

    def _key(self) -> Any:
        """What a recording depends on: settings of the optimizer, the mode of the layers, where the tensors lie."""
        return (
            [[(name, value) for name, value in group.items() if name not in _FREE] for group in self._groups()],
            [(each.data_ptr(), each.requires_grad) for each in self._parameters],
            [each.data_ptr() for each in self._buffers],
            [each.training for each in self._layers],
        )

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """Within, learning rates are tensors; schedulers and checkpoints see numbers."""
        groups = self._groups()
        numbers = [group["lr"] for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate
        try:
            yield
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number

    def _step(self, inputs: tuple[Tensor, ...]) -> StepValues:
        """The step itself, kernel by kernel: what is recorded."""
        self.optimizer.zero_grad(set_to_none=True)
        values = self.compute(*inputs, **self._numbers)
        with torch.autocast(self._device.type, enabled=False), self._rates_on_device():
            values.loss.backward()
            self.optimizer.step()
        return StepValues(values.loss.detach(), values.reported)

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> StepValues:
        """A step on a stream of its own, as recordings need it; the last one before them may not wait for the GPU."""
        assert self._stream is not None
        self._warm += 1
        before = self._snapshot() if self._warm == WARM_UP else None
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        try:
            with torch.cuda.stream(self._stream), _no_waiting(before is not None):
                values = self._step(inputs)
        except RuntimeError as error:
            here.wait_stream(self._stream)
            if before is None or isinstance(error, torch.OutOfMemoryError):
                raise
            self._restore(before)
            return self._go_on_without(inputs, f"the step waits for the GPU ({_first_line(error)})")
        here.wait_stream(self._stream)
        return values

    def _record(self, inputs: tuple[Tensor, ...], key: Any) -> _Recording:
        """Record a step, which is not taken by that."""
        self.recordings += 1
        held = tuple(each.clone() for each in inputs)
        self.optimizer.zero_grad(set_to_none=True)
        generator = torch.cuda.default_generators[self._device.index or 0]
        state = generator.clone_state()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                values = self._step(held)
        except RuntimeError:
            generator.graphsafe_set_state(state)  # or it would take itself to be recorded still
            self.optimizer.zero_grad(set_to_none=True)
            raise
        return _Recording(graph, key, held, values)

    def _go_on_without(self, inputs: tuple[Tensor, ...], reason: str) -> StepValues:
        say_not_used(reason)
        self.can_record = False
        self._recording = None
        return self._step(inputs)

    def _changed(self) -> list[Tensor]:
        """All that a step changes."""
        states = [value for state in self.optimizer.state.values() for value in state.values()]
        return [*self._parameters, *self._buffers, *(value for value in states if isinstance(value, Tensor))]

    @torch.no_grad()
    def _snapshot(self) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        copies = [(each, each.clone()) for each in self._changed()]
        return copies, torch.cuda.get_rng_state(self._device)

    @torch.no_grad()
    def _restore(self, snapshot: tuple[list[tuple[Tensor, Tensor]], Tensor]) -> None:
        for tensor, copy in snapshot[0]:
            tensor.copy_(copy)
        torch.cuda.set_rng_state(snapshot[1], self._device)


def say_not_used(reason: str) -> None:
    """One line: graphs were asked for, and the training goes on without them."""
    log.warning(f"graphs    not used: {reason}; hardware.graphs=false leaves this line out")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:150]


@contextmanager
def _no_waiting(is_checked: bool) -> Iterator[None]:
    """Within, what waits for the GPU raises a RuntimeError, as it would in a recording."""
    before = torch.cuda.get_sync_debug_mode()
    if is_checked:
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
