"""The teacher on a stream of its own, with fakes of PyTorch's streams, because there may be no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.benchmarks.gpu_variants import compute_beside


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
