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
#: Values in memory for each parameter that is trained: itself, its gradient, two moments, the best epoch's.
_PER_PARAMETER = 5
#: Values for each other parameter, such as of a teacher: itself, the best epoch's.
_PER_OTHER_PARAMETER = 2
#: Values for each activation of a trained network: itself and its gradient; of another network only itself.
_PER_ACTIVATION = 2
#: What a job takes besides: the objects of its run, its trainer and its logger.
_PER_JOB = 32 * 2**20
#: Values of layers that are not compared, because they may differ within a group.
_FREE = ("p", "probability", "training")


class Prepared:
    """A training with a first batch, by which it is compared with others.

    Args:
        candidate: the training.

    Attributes:
        inputs: the tensors from which a step of a few clips is computed.
        passes: what the forward pass of each network does with a whole batch, the masks of dropout aside.
        activations: number of values that are in memory for the activations of a step.
    """

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        member = candidate.member
        module = member.module
        before = torch.get_rng_state()
        module.seed_epoch(0)
        batch = next(iter(member.batches.load()))
        module.to(member.device)
        whole = module.prepare(tuple(each.to(member.device) for each in batch))
        self.inputs: tuple[Tensor, ...] = module.divide_batch(whole, max(1, len(whole[0]) // _CLIPS))
        features = module.get_features(*self.inputs)
        self.passes: list[ForwardPass] = [trace(network, features) for network in module.networks]
        torch.set_rng_state(before)
        values = sum(
            one.activations * (_PER_ACTIVATION if any(each.requires_grad for each in network.parameters()) else 1)
            for network, one in zip(module.networks, self.passes, strict=True)
        )
        self.activations = -(-values * len(whole[0]) // len(self.inputs[0]))

    def describe(self) -> Any:
        """Return everything in which the trainings of a group do not differ."""
        member, experiment = self.candidate.member, self.candidate.experiment
        hardware = experiment.hardware
        return (
            type(member.module),
            [_describe_network(network) for network in member.module.networks],
            member.batches.describe(),
            [(tuple(each.shape[1:]), each.dtype) for each in self.inputs],
            [len(each.dropouts) for each in self.passes],
            repr(flatten(experiment.task.loss)) if hasattr(experiment.task.loss, "_target_") else None,
            (member.trainer.precision, hardware.accelerator, hardware.deterministic, hardware.graphs, hardware.threads),
        )

    def count_bytes(self) -> int:
        """Estimate the memory that this training takes beside the activations of its step, in bytes."""
        parameters = [each for network in self.candidate.member.module.networks for each in network.parameters()]
        return 4 * sum(
            each.numel() * (_PER_PARAMETER if each.requires_grad else _PER_OTHER_PARAMETER) for each in parameters
        )


def count_fitting(prepared: Prepared, *, is_stacked: bool) -> int:
    """Return how many trainings like this one fit in the free memory of their device, at least one.

    On a CPU, unless the networks are computed as one, the activations of a single step are in memory at a time. On a
    GPU the recorded step of each training has its own.

    Args:
        prepared: the training.
        is_stacked: whether the networks are computed as one.
    """
    device = prepared.candidate.member.device
    is_on_gpu = device.type == "cuda"
    free = get_free_memory(str(device)) if is_on_gpu else available_bytes()
    if free is None:
        return 1
    of_step, of_training = 4 * prepared.activations, prepared.count_bytes() + (0 if is_on_gpu else _PER_JOB)
    if is_stacked or is_on_gpu:
        of_step, of_training = 0, of_training + of_step
    return max(1, int((_FRACTION * free - of_step) / max(of_training, 1)))


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
