"""Other ways to compute the step of the mean teacher; streams are fakes, because there may be no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dcase_sweep.models.gated_block import GatedBlock
from tests.benchmarks.gpu_variants import compute_beside, compute_in_fewer_passes


def test_the_teacher_waits_for_what_is_before_the_student_and_the_rest_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, str]] = []

    class Stream:
        def __init__(self, name: str = "own") -> None:
            self.name = name

        def wait_stream(self, other: "Stream") -> None:
            done.append((self.name, f"waits for {other.name}"))

    gpu = SimpleNamespace(current=Stream("step's"))

    @contextmanager
    def use(stream: Stream) -> Iterator[None]:
        before, gpu.current = gpu.current, stream
        yield
        gpu.current = before

    def network(name: str) -> Any:
        def call(features: int) -> int:
            done.append((gpu.current.name, name))
            return features + 1

        return call

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: gpu.current)
    module = SimpleNamespace(call_student=network("student"), call_teacher=network("teacher"))

    compute_beside(module)

    assert [module.call_student(1), module.call_teacher(2)] == [2, 3]
    assert done == [
        ("own", "waits for step's"),
        ("step's", "student"),
        ("own", "teacher"),
        ("step's", "waits for own"),
    ]


@pytest.mark.parametrize("training", [True, False])
def test_fewer_passes_give_the_same_block(training: bool) -> None:
    torch.manual_seed(0)
    block = GatedBlock(
        3, 4, kernel=(3, 3), pool=(2, 2), dropout=0.0, norm_epsilon=1e-3, norm_momentum=0.99, fast_cpu=False
    ).double()
    block.norm.running_mean.normal_()
    block.train(training)
    other = deepcopy(block)
    compute_in_fewer_passes(other)
    maps = torch.randn(2, 6, 8, 3, dtype=torch.float64)

    results = [each(maps) for each in (block, other)]
    for result in results:
        result.square().sum().backward()

    torch.testing.assert_close(results[1], results[0])
    torch.testing.assert_close(other.state_dict(), block.state_dict())
    for name, parameter in block.named_parameters():
        if not (training and name == "convolution.bias"):  # its gradient is 0, but for rounding
            torch.testing.assert_close(dict(other.named_parameters())[name].grad, parameter.grad)
