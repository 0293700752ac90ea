"""A training step that is recorded once as a CUDA graph and then replayed.

A step of a small network consists of hundreds of kernels of a few microseconds each, and launching them from Python
takes longer than running them. A graph is launched as a whole
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). It contains the complete step: forward pass,
backward pass, and all updates. The batch and the numbers that change from step to step, such as the learning rate, are
read from tensors on the device.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dcase_sweep.training.capturable import make_capturable
from dcase_sweep.training.host_copy import copy_to_host

log = logging.getLogger(__name__)

#: Steps before the recording, in which libraries select algorithms and the optimizer creates its state.
WARM_UP = 3
#: A step that changes more often than this is not recorded again.
MOST_RECORDINGS = 8
#: Keys of an optimizer's parameter groups that may change without a new recording.
_FREE = ("params", "lr", "initial_lr")
#: Settings with which an optimizer stores its state on the GPU.
_ON_DEVICE = ("capturable", "fused")


@dataclass(frozen=True, slots=True)
class StepValues:
    """The result of a training step.

    Attributes:
        loss: the loss to minimise.
        reported: values without gradients, whose means over an epoch are reported ``[value]``.
    """

    loss: Tensor
    reported: Tensor


#: Function of the tensors of a batch and of named numbers that computes a step with gradients.
Compute = Callable[..., StepValues]


@dataclass(frozen=True, slots=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    #: Everything on which the graph depends except its inputs and numbers.
    key: Any
    inputs: tuple[Tensor, ...]
    values: StepValues


class StepGraph:
    """An optimizer step that is recorded at its fourth batch and then replayed.

    Batches with another shape than the first, such as the last one of an epoch, are computed without a graph. If a step
    cannot be recorded, all steps are computed without a graph, and the reason is logged. If the network is changed
    between two steps, for example by a callback that freezes a layer, the step is recorded again.

    Args:
        compute: computes the loss; must neither wait for the device nor depend on values on it.
        optimizer: the optimizer; its learning rates may change from step to step.
        module: the module with all parameters and buffers that the step reads or changes.
        can_record: False = compute all steps without a graph, as on a CPU.
        looks_always: look for changes of the module before every step; False = only after `look_again`.
        stream: the stream on which the step is recorded; None = a new one. If recorded steps of several trainings run
            beside one another, each must be recorded on the stream on which it is replayed: libraries keep memory for
            each stream.
    """

    def __init__(
        self,
        compute: Compute,
        optimizer: Optimizer,
        module: nn.Module,
        *,
        can_record: bool,
        looks_always: bool = True,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        self.compute = compute
        self.optimizer = optimizer
        self.can_record = can_record
        self.looks_always = looks_always
        self.recordings = 0
        self._parameters = list(module.parameters())
        self._buffers = list(module.buffers())
        self._layers = list(module.modules())
        self._device = self._parameters[0].device
        self._plain = [{name: group[name] for name in _ON_DEVICE if name in group} for group in self._groups()]
        self._stream = (stream or torch.cuda.Stream(self._device)) if can_record else None
        self._rates: list[Tensor] = []
        self._numbers: dict[str, Tensor] = {}
        self._written: dict[Any, float] = {}
        self._shapes: Any = None
        self._warm = 0
        self._recording: _Recording | None = None
        self._module_key: Any = None
        make_capturable(optimizer)

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Return None: a graph refers to the tensors of its module, so a copy of the module has none."""
        return

    def __call__(self, inputs: tuple[Tensor, ...], numbers: Mapping[str, float]) -> StepValues:
        """Perform a step. The next step overwrites the returned values.

        Args:
            inputs: the tensors of the batch.
            numbers: further arguments of ``compute`` by name.
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
                return self._compute_without(inputs, "the network or its optimizer changes too often")
        if self._recording is None:
            if self._warm < WARM_UP:
                return self._warm_up(inputs)
            obstacle = self._try_to_record(inputs, key)
            if obstacle is not None:
                return self._compute_without(inputs, obstacle)
            assert self._recording is not None
        for held, given in zip(self._recording.inputs, inputs, strict=True):
            held.copy_(given)
        self._recording.graph.replay()
        return self._recording.values

    def plain_state(self, state: dict[str, Any], first_group: int = 0) -> dict[str, Any]:
        """Return the state of the optimizer as without a graph, so that the training can be resumed on another device.

        Args:
            state: the result of ``state_dict``, which is not changed.
            first_group: place of its first parameter group among those of the optimizer that the graph has.
        """
        plain = self._plain[first_group:]
        groups = [group | settings for group, settings in zip(state["param_groups"], plain, strict=False)]
        steps = copy_to_host({place: of["step"] for place, of in state["state"].items() if "step" in of})
        values = {place: of | {"step": steps[place]} if place in steps else of for place, of in state["state"].items()}
        return state | {"state": values, "param_groups": [*groups, *state["param_groups"][len(groups) :]]}

    def _write_numbers(self, numbers: Mapping[str, float]) -> None:
        """Copy the numbers and learning rates that have changed to the device."""
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
        """Return everything on which a recording depends: optimizer settings, modes of layers, addresses of tensors."""
        if self._module_key is None or self.looks_always:
            self._module_key = (
                [(each.data_ptr(), each.requires_grad) for each in self._parameters],
                [each.data_ptr() for each in self._buffers],
                [each.training for each in self._layers],
            )
        settings = [[(name, value) for name, value in group.items() if name not in _FREE] for group in self._groups()]
        return settings, self._module_key

    def look_again(self) -> None:
        """Look for changes of the module before the next step."""
        self._module_key = None

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """Context in which learning rates are tensors. For schedulers and checkpoints they are numbers."""
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
        """Compute the step kernel by kernel; this is what is recorded."""
        self.optimizer.zero_grad(set_to_none=True)
        values = self.compute(*inputs, **self._numbers)
        with torch.autocast(self._device.type, enabled=False), self._rates_on_device():
            values.loss.backward()
            self.optimizer.step()
        return StepValues(values.loss.detach(), values.reported)

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> StepValues:
        """Compute a step on a separate stream, as required for recording. The last one must not wait for the GPU."""
        assert self._stream is not None
        self._warm += 1
        before = self._snapshot() if self._warm == WARM_UP else None
        obstacle = ""
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
            obstacle = f"the step waits for the GPU ({_first_line(error)})"
        if obstacle:  # after the error is handled: its traceback keeps the tensors of the step
            return self._compute_without(inputs, obstacle)
        here.wait_stream(self._stream)
        return values

    def _try_to_record(self, inputs: tuple[Tensor, ...], key: Any) -> str | None:
        """Record a step. Return the reason if it cannot be recorded, and not the error, as above."""
        try:
            self._recording = self._record(inputs, key)
        except RuntimeError as error:
            return f"the step cannot be recorded ({_first_line(error)})"
        return None

    def _record(self, inputs: tuple[Tensor, ...], key: Any) -> _Recording:
        """Record a step without performing it."""
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
            generator.graphsafe_set_state(state)  # otherwise it would remain in recording mode
            self.optimizer.zero_grad(set_to_none=True)
            raise
        return _Recording(graph, key, held, values)

    def _compute_without(self, inputs: tuple[Tensor, ...], reason: str) -> StepValues:
        warn_not_used(reason)
        self.stop_recording()
        torch.clear_autocast_cache()  # it has the converted weights of a failed recording, which were never computed
        return self._step(inputs)

    def stop_recording(self) -> None:
        """Compute all further steps without a graph, and free its memory."""
        self.can_record = False
        self._recording = None

    def _changed(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
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


def warn_not_used(reason: str) -> None:
    """Log that graphs are enabled but not used."""
    log.warning(f"graphs    not used: {reason}; hardware.graphs=false hides this line")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:150]


@contextmanager
def _no_waiting(is_checked: bool) -> Iterator[None]:
    """Context in which waiting for the GPU raises a RuntimeError, as during a recording."""
    before = torch.cuda.get_sync_debug_mode()
    if is_checked:
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
