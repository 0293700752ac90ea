"""The stream and the random numbers of a training on a GPU, with fakes of PyTorch's, because there may be no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dcase_sweep.training.fused.streams import OwnStream


class FakeGenerator:
    """A generator that points to a state, as that of CUDA does."""

    def __init__(self, state: SimpleNamespace) -> None:
        self.state = state

    def clone_state(self) -> "FakeGenerator":
        return FakeGenerator(SimpleNamespace(value=self.state.value))

    def graphsafe_get_state(self) -> "FakeGenerator":
        return FakeGenerator(self.state)

    def graphsafe_set_state(self, other: "FakeGenerator") -> None:
        self.state = other.state

    def get_state(self) -> Any:
        return self.state.value

    def set_state(self, value: Any) -> None:
        self.state.value = value


class FakeStream:
    """A stream that notes for which others it waits."""

    def __init__(self, device: Any = None) -> None:
        self.waited: list[FakeStream] = []

    def wait_stream(self, other: "FakeStream") -> None:
        self.waited.append(other)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A GPU with one generator and a default stream."""
    found = SimpleNamespace(generator=FakeGenerator(SimpleNamespace(value=0)), default=FakeStream(), current=None)
    found.current = found.default

    @contextmanager
    def use(stream: FakeStream) -> Iterator[None]:
        before, found.current = found.current, stream
        yield
        found.current = before

    monkeypatch.setattr(torch.cuda, "default_generators", (found.generator,))
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: found.current)
    return found


def test_random_numbers_and_streams_of_two_trainings_are_their_own(gpu: SimpleNamespace) -> None:
    device = torch.device("cuda", 0)
    first, second = OwnStream(device), OwnStream(device)
    first.begin(10)  # type: ignore[arg-type]
    second.begin(20)  # type: ignore[arg-type]

    for _ in range(2):
        for own in (first, second):
            with own.active():
                assert gpu.current is own.stream
                gpu.generator.state.value += 1  # as a step draws from it
    assert gpu.current is gpu.default
    assert gpu.generator.state.value == 0
    assert (first.end(), second.end()) == (12, 22)
    streams: list[Any] = [first.stream, second.stream]
    assert [each.waited for each in streams] == [[gpu.default]] * 2
    assert gpu.default.waited == streams


def test_a_failed_recording_replaces_the_state(gpu: SimpleNamespace) -> None:
    """Afterwards the generator has a copy of the state, because the former one remains in recording mode."""
    own = OwnStream(torch.device("cuda", 0))
    own.begin(5)  # type: ignore[arg-type]

    def fail() -> None:
        with own.active():
            former.append(gpu.generator.state)
            gpu.generator.graphsafe_set_state(gpu.generator.clone_state())
            raise RuntimeError("not recorded")

    former: list[Any] = []
    with pytest.raises(RuntimeError, match="not recorded"):
        fail()
    with own.active():
        assert gpu.generator.state is not former[0]
        gpu.generator.state.value += 1
    assert own.end() == 6
