"""Work shared among threads."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from dcase_sweep.ops.threads import run_together, working_memory, workspace


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert run_together([partial(pow, base, 2) for base in range(20)]) == [base**2 for base in range(20)]


def test_an_iterator_makes_each_task_in_order_when_it_is_taken() -> None:
    made: list[int] = []
    running = threading.Barrier(2)

    def meet(place: int) -> list[int]:
        running.wait(timeout=10)
        return made[: place + 1]

    def make() -> Iterator[Callable[[], list[int]]]:
        for place in range(4):
            made.append(place)
            yield partial(meet, place)

    assert run_together(make(), 4) == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    torch.set_num_threads(1)
    assert run_together((partial(len, made[:count]) for count in range(3)), 3) == [0, 1, 2]


def test_an_error_of_an_iterator_reaches_the_caller() -> None:
    def make() -> Iterator[Callable[[], None]]:
        yield lambda: None
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_together(make(), 2)


def test_two_tasks_run_at_once_with_operators_on_one_core_each() -> None:
    meeting = threading.Barrier(2)

    def meet() -> int:
        meeting.wait(timeout=10)
        return torch.get_num_threads()

    assert run_together([meet, meet]) == [1, 1]
    assert torch.get_num_threads() == 2


def test_tasks_run_without_gradients_and_in_the_callers_inference_mode() -> None:
    def modes() -> tuple[bool, bool]:
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    assert run_together([modes, modes]) == [(False, False)] * 2
    with torch.inference_mode():
        assert run_together([modes, modes]) == [(False, True)] * 2
    assert torch.is_grad_enabled()


def test_an_error_reaches_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_together([fail, lambda: None])


def test_after_an_error_no_further_task_begins_and_the_next_ones_run() -> None:
    begun = []

    def fail(place: int) -> None:
        begun.append(place)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_together([partial(fail, place) for place in range(50)])
    assert len(begun) <= 2
    assert run_together([partial(pow, base, 2) for base in range(5)]) == [0, 1, 4, 9, 16]


def test_working_memory_has_room_for_all_and_is_each_threads_own() -> None:
    first, second = working_memory([((3, 5), torch.float32), ((7,), torch.bfloat16)])
    first.fill_(1)
    second.fill_(2)
    assert (first.sum().item(), second.sum().item()) == (15, 14)

    worker = threading.Thread(target=lambda: working_memory([((100,), torch.float32)])[0].fill_(9))
    worker.start()
    worker.join()

    assert first.eq(1).all()


def test_a_workspace_is_made_once_for_each_thread_and_again_when_its_memory_has_moved() -> None:
    made = []

    def make(size: int) -> list[torch.Tensor]:
        made.append(threading.get_ident())
        return working_memory([((size,), torch.float32)])

    def use(size: int) -> torch.Tensor:
        return workspace(make, size)[0].fill_(size)

    def work() -> None:
        with torch.inference_mode():
            first = use(1000)
        assert use(1000) is first
        assert not first.is_inference()
        assert len(made) == before + 1
        assert use(100_000).sum() == 1e10
        assert use(1000).sum() == 1e6  # the memory has grown, so its first views are of another
        assert use(1000).data_ptr() == use(100_000).data_ptr()

    for _ in range(2):
        before = len(made)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()
        assert len(made) == before + 3
