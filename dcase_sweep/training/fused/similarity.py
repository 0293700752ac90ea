"""Which trainings can be computed together, and how many fit in memory."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dcase_sweep.config import flatten
from dcase_sweep.training.fused.dropout import ForwardPass, trace, without_dropout
from dcase_sweep.training.fused.joining import Candidate
from dcase_sweep.training.fused.stack import Stack
from dcase_sweep.training.gpu_memory import get_free_memory
from dcase_sweep.utils.machine import available_bytes

#: Clips in the batch by which a group is tried.
_CLIPS = 2
#: Relative difference of a loss in the trial; bfloat16 has 8 bits.
_TOLERANCE = 0.05
#: The part of the free memory that a group may take.
_FRACTION = 0.8
#: Values in memory for each parameter: itself, its gradient, two moments, the best epoch's.
_PER_PARAMETER = 5
#: Values for each activation: itself and its gradient.
_PER_ACTIVATION = 2
#: Values of layers that are not compared, because they may differ within a group.
_FREE = ("p", "probability", "training")


class Prepared:
    """A training with a first batch, by which it is compared with others.

    Args:
        candidate: the training.

    Attributes:
        inputs: the tensors from which a step of the first clips is computed.
        forward: what the forward pass of a whole batch does.
    """

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        member = candidate.member
        device = member.trainer.strategy.root_device
        before = torch.get_rng_state()
        module = member.module
        module.seed_epoch(0)
        clips = member.batches.clips
        first = torch.arange(min(member.batches.batch_size, len(clips)), device=clips.device)
        batch = (clips.take(first), clips.targets[first])
        module.to(device)
        whole = module.prepare(tuple(each.to(device) for each in batch))
        torch.set_rng_state(before)
        self.inputs = tuple(each[:_CLIPS] for each in whole)
        self.forward: ForwardPass = trace(member.network, whole[0])

    def describe(self) -> Any:
        """Return everything in which the trainings of a group do not differ."""
        member, experiment = self.candidate.member, self.candidate.experiment
        batches, hardware = member.batches, experiment.hardware
        return (
            _describe_network(member.network),
            (len(batches.clips), batches.batch_size, batches.clips.shape),
            [(tuple(each.shape[1:]), each.dtype) for each in self.inputs],
            len(self.forward.dropouts),
            repr(flatten(experiment.task.loss)) if hasattr(experiment.task.loss, "_target_") else None,
            (member.trainer.precision, hardware.accelerator, hardware.deterministic, hardware.graphs, hardware.threads),
        )

    def count_bytes(self) -> int:
        """Estimate the memory that the training of this network takes on its device."""
        parameters = sum(each.numel() for each in self.candidate.member.network.parameters())
        return 4 * (_PER_PARAMETER * parameters + _PER_ACTIVATION * self.forward.activations)


def count_fitting(prepared: Prepared) -> int:
    """Return how many trainings like this one fit in the free memory of their device, at least one."""
    device = prepared.candidate.member.trainer.strategy.root_device
    free = get_free_memory(str(device)) if device.type == "cuda" else available_bytes()
    return max(1, int(_FRACTION * free / max(prepared.count_bytes(), 1))) if free is not None else 1


def find_difference(group: Sequence[Prepared]) -> str | None:
    """Try a step of all networks together, and compare it with a step of each.

    Returns:
        The reason why they cannot be computed together; None if they can.
    """
    networks = [copy.deepcopy(each.candidate.member.network).train() for each in group]
    members = [each.candidate.member for each in group]
    try:
        with without_dropout():
            alone = [
                float(member.module.compute_by(copy.deepcopy(network), *each.inputs).loss.detach())
                for member, network, each in zip(members, networks, group, strict=True)
            ]
        inputs = [torch.stack(parts) for parts in zip(*(each.inputs for each in group), strict=True)]

        def step(call: Any, *tensors: Tensor) -> tuple[Tensor, Tensor]:
            values = members[0].module.compute_by(call, *tensors)
            return values.loss, values.reported

        losses, _ = Stack(networks).compute(step, inputs, (), draws=False)
        losses.sum().backward()
    except Exception as error:  # of a network or a loss of the user's own
        reason = " ".join(str(error).split())[:120]
        return f"its network cannot be computed together with others ({type(error).__name__}: {reason})"
    for one, together in zip(alone, losses.tolist(), strict=True):
        if not abs(one - together) <= _TOLERANCE * max(1.0, abs(one)):
            return f"its network computes something else together with others (loss {together:.4g}, alone {one:.4g})"
    return None


def _describe_network(network: nn.Module) -> Any:
    tensors = [
        (name, tuple(each.shape), each.dtype, each.requires_grad)
        for name, each in (*network.named_parameters(), *network.named_buffers())
    ]
    return tensors, [(name, type(layer), _read_values(layer)) for name, layer in network.named_modules()]


def _read_values(layer: nn.Module) -> dict[str, Any]:
    """Return the settings of a layer; of objects only the class."""
    plain = (int, float, str, bool, type(None), tuple, list, dict)
    return {
        name: repr(value) if isinstance(value, plain) else type(value)
        for name, value in vars(layer).items()
        if not name.startswith("_") and name not in _FREE
    }
