"""How much faster a mean-teacher step is here than with the published network: `python -m tests.benchmarks.crnn`.

One step is all that follows once a batch's features are ready: both networks forward, the losses, gradients, Adam and
the teacher's update, on 48 clips. The published side is its network layer by layer, in float32 and PyTorch's default
layout, with the recipe's losses and update; this side is the package's in bfloat16 where asked (`--precision`). Each
has a process of its own, because this side sets how its process keeps memory, as every training here does; they take
turns, so that a neighbour on the machine slows both. The ratio of their least times is printed.

The published network is written in `tests/models/published_crnn.py` after its description; `--desed-task FOLDER` takes
the class itself from a checkout of github.com/DCASE-REPO/DESED_task instead (its SpecAugment, which came after 2021, is
left out).
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from dcase_sweep.evaluation.events.validation import SyntheticValidation
from dcase_sweep.models.crnn import CRNN
from dcase_sweep.training.augmentation.base import EventTargets
from dcase_sweep.training.mean_teacher.losses import consistency_losses, supervised_losses
from dcase_sweep.training.mean_teacher.teacher import make_teacher, teacher_decay, update_teacher
from dcase_sweep.training.ramps import exponential_ramp
from dcase_sweep.utils.malloc import keep_large_allocations
from tests.benchmarks.figures import Figure, record
from tests.models.published_crnn import PublishedCRNN

LOSS = torch.nn.BCELoss()
Step = Callable[[int], float]

EPOCH_STEPS = 118  # batches of DESED, as its 1,420 weak clips in twelves give them
RAMP_STEPS = 50 * EPOCH_STEPS
#: What is validated: by the student alone, and by the student and the teacher.
SYNTHETIC_CLIPS, WEAK_CLIPS = 2500, 158


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=48, help="in a batch; a multiple of 4 (default: 48)")
    parser.add_argument("--steps", type=int, default=3, help="of each side, after one to warm up (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="cores for each side (default: 2)")
    parser.add_argument("--precision", choices=("bf16", "32"), default="bf16", help="of this side (default: bf16)")
    parser.add_argument("--desed-task", type=Path, help="a checkout of DESED_task, whose network is the published side")
    options = parser.parse_args()
    sides = {name: _Side(name, options) for name in ("published", "here")}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for count in range(1, options.steps + 2):
        for name, side in sides.items():
            took, loss = side.take(count)
            seconds[name].append(took)
            print(f"step {count}  {name:10s} {took:7.2f} s   loss {loss:.4f}", flush=True)
    for side in sides.values():
        side.end()
    least = {name: min(times[1:]) for name, times in seconds.items()}
    ratio = least["published"] / least["here"]
    print(f"{options.clips} clips, {options.threads} threads: published {least['published']:.2f} s, ", end="")
    print(f"here {least['here']:.2f} s ({options.precision}), {ratio:.1f} x")
    record(Figure(f"a step beside the published network ({options.precision})", ratio, "×", aim=4.0))
    torch.set_num_threads(options.threads)
    keep_large_allocations()
    validation = validation_seconds(_Batch.of(options.clips).features, mixed=options.precision == "bf16")
    epoch = EPOCH_STEPS * least["here"] * 48 / options.clips
    share = 100 * validation / (epoch + validation)
    record(Figure("validation's share of an epoch", share, "%", "smaller", 20.0))
    print(f"an epoch of DESED ({EPOCH_STEPS} steps): {epoch:.0f} s, its validation: {validation:.0f} s, ", end="")
    print(f"{share:.0f} % of both (aimed at: at most 20 %)")


@dataclass(frozen=True, slots=True)
class _Batch:
    """Features ``[clip, mel, frame]`` and targets of the strong and the weak clips, by chance."""

    features: Tensor
    strong: Tensor
    weak: Tensor

    @staticmethod
    def of(clips: int) -> "_Batch":
        quarter, rng = clips // 4, torch.Generator().manual_seed(0)
        return _Batch(
            torch.rand(4 * quarter, 128, 626, generator=rng) * 2 - 1,
            (torch.rand(quarter, 10, 156, generator=rng) > 0.8).float(),
            (torch.rand(quarter, 10, generator=rng) > 0.7).float(),
        )


class _Side:
    """One side in a process of its own, which waits while the other takes its turn."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, options), daemon=True)
        self._process.start()
        theirs.close()

    def take(self, count: int) -> tuple[float, float]:
        """Seconds and loss of a step."""
        self._ours.send(count)
        answer: tuple[float, float] = self._ours.recv()
        return answer

    def end(self) -> None:
        self._ours.send(None)
        self._process.join()


def _serve(connection: Connection, name: str, options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    batch = _Batch.of(options.clips)
    if name == "published":
        step = published_step(published_network(options.desed_task), batch.features, batch.strong, batch.weak)
    else:
        keep_large_allocations()
        mixed = options.precision == "bf16"
        step = our_step(batch.features, EventTargets(batch.strong, batch.weak), mixed=mixed)
    while (count := connection.recv()) is not None:
        start = time.perf_counter()
        loss = step(count)
        connection.send((time.perf_counter() - start, loss))


def validation_seconds(features: Tensor, *, mixed: bool) -> float:
    """What the validation after an epoch of DESED takes: the student on all its clips, the recipe's figures of them."""
    student = CRNN().eval()
    seconds = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        for _ in range(3):
            start = time.perf_counter()
            student(features)
            seconds.append(time.perf_counter() - start)
    rng = np.random.default_rng(0)
    names = [f"{clip}.wav" for clip in range(SYNTHETIC_CLIPS)]
    labels = [str(label) for label in range(10)]
    onsets = rng.uniform(0, 8, (SYNTHETIC_CLIPS, 3))
    events = [
        (name, float(onset), float(onset) + 1.5, labels[(clip + place) % 10])
        for clip, name in enumerate(names)
        for place, onset in enumerate(onsets[clip])
    ]
    judge = SyntheticValidation(events, dict.fromkeys(names, 10.0), labels=labels, hop=0.064)
    scores = {name: rng.random((156, 10)).astype(np.float32) for name in names}
    start = time.perf_counter()
    judge.intersection_f1(scores)
    judging = time.perf_counter() - start
    return min(seconds) * (SYNTHETIC_CLIPS + 2 * WEAK_CLIPS) / len(features) + judging


def published_network(checkout: Path | None) -> nn.Module:
    """The 2021 baseline's network: the class of a checkout with the recipe's numbers, or ours after it."""
    if checkout is None:
        return PublishedCRNN()
    # Only for SpecAugment, which the 2021 recipe does not have, does the class need torchaudio.
    for name in ("torchaudio", "torchaudio.transforms"):
        sys.modules.setdefault(name, ModuleType(name))
    sys.path.insert(0, str(checkout))
    from desed_task.nnet.CRNN import CRNN as Published

    network: nn.Module = Published(
        n_in_channel=1,
        nclass=10,
        attention=True,
        activation="glu",
        dropout=0.5,
        rnn_type="BGRU",
        n_RNN_cell=128,
        n_layers_RNN=2,
        dropout_recurrent=0,
        kernel_size=[3] * 7,
        padding=[1] * 7,
        stride=[1] * 7,
        nb_filters=[16, 32, 64, 128, 128, 128, 128],
        pooling=[[2, 2], [2, 2], *[[1, 2]] * 5],
    )
    network.apply_specaugment = lambda features: features  # type: ignore[assignment, union-attr]
    return network


def published_step(student: nn.Module, features: Tensor, strong: Tensor, weak: Tensor) -> Step:
    """A step as local/sed_trainer.py of the recipe dcase2021_task4_baseline takes it."""
    teacher = deepcopy(student)
    for parameter in teacher.parameters():
        parameter.detach_()
    optimiser = torch.optim.Adam(student.parameters(), 1e-3, betas=(0.9, 0.999))
    cross_entropy, square = nn.BCELoss(), nn.MSELoss()
    quarter = len(strong)

    def step(count: int) -> float:
        strong_student, weak_student = student(features)
        loss = cross_entropy(strong_student[:quarter], strong)
        loss = loss + cross_entropy(weak_student[quarter : 2 * quarter], weak)
        with torch.no_grad():
            strong_teacher, weak_teacher = teacher(features)
            cross_entropy(strong_teacher[:quarter], strong)
            cross_entropy(weak_teacher[quarter : 2 * quarter], weak)
        weight = 2 * exponential_ramp(count, RAMP_STEPS)
        loss = loss + weight * (square(strong_student, strong_teacher) + square(weak_student, weak_teacher))
        decay = teacher_decay(count)
        for of_teacher, of_student in zip(teacher.parameters(), student.parameters(), strict=True):
            of_teacher.data.mul_(decay).add_(of_student.data, alpha=1 - decay)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def our_step(features: Tensor, targets: EventTargets, *, mixed: bool) -> Step:
    """The same step with the package's parts."""
    student = CRNN()
    teacher = make_teacher(student)
    optimiser = torch.optim.Adam(student.parameters(), 1e-3)

    def step(count: int) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            found = student(features)
            with torch.no_grad():
                target = teacher(features)
        with torch.no_grad():
            supervised_losses(target, targets, LOSS)
        weight = 2 * exponential_ramp(count, RAMP_STEPS)
        supervised = supervised_losses(found, targets, LOSS)
        loss = supervised.total + weight * consistency_losses(found, target).total
        update_teacher(teacher, student, teacher_decay(count))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main()
