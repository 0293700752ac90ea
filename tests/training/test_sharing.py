"""Copies of stored features that trainings share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dcase_sweep.training import sharing
from dcase_sweep.training.mean_teacher.batches import DeviceFeatures
from dcase_sweep.training.sharing import share
from dcase_sweep.utils.turns import Turn


@pytest.fixture
def stored(tmp_path: Path) -> NDArray[np.float32]:
    np.save(tmp_path / "features.npy", np.arange(24, dtype=np.float32).reshape(6, 2, 2))
    features: NDArray[np.float32] = np.load(tmp_path / "features.npy", mmap_mode="r")
    return features


def in_turns(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions that wait for each other's beginning, and return their values."""

    def wait(function: Callable[[], Any]) -> Any:
        value = function()
        current = Turn.current()
        assert current is not None
        current.wait_for("the others")
        return value

    turns = [Turn(lambda function=function: wait(function), ()) for function in functions]  # type: ignore[misc]
    for _ in range(2):
        for turn in turns:
            turn.resume()
    return [turn.result for turn in turns]


def copy_rows(stored: NDArray[np.float32], *rows: int, labels: int = 0) -> Any:
    chosen = np.array(rows)
    return share(lambda: DeviceFeatures(stored, chosen, "cpu"), stored, chosen, [np.array([labels])], device="cpu")


def test_trainings_that_take_turns_share_the_same_rows(stored: NDArray[np.float32]) -> None:
    first, again, other_rows, other_labels = in_turns(
        lambda: copy_rows(stored, 0, 2),
        lambda: copy_rows(stored, 0, 2),
        lambda: copy_rows(stored, 0, 3),
        lambda: copy_rows(stored, 0, 2, labels=1),
    )

    assert first is again
    assert len({id(each) for each in (first, other_rows, other_labels)}) == 3
    assert first(np.array([2])).tolist() == stored[2:3].tolist()
    assert copy_rows(stored, 0, 2) is not first, "a training by itself has a copy of its own"


def test_features_that_are_in_no_file_are_not_shared(stored: NDArray[np.float32]) -> None:
    memory = np.array(stored)

    first, second = in_turns(lambda: copy_rows(memory, 0, 2), lambda: copy_rows(memory, 0, 2))

    assert first is not second


def test_a_copy_that_fits_is_shared_where_another_would_not_fit(
    stored: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def fits_once(device: str, size: int, what: str) -> bool:
        asked.append(size)
        return len(asked) == 1

    monkeypatch.setattr(sharing, "fits", fits_once)

    first, second, other = in_turns(
        lambda: copy_rows(stored, 0, 2), lambda: copy_rows(stored, 0, 2), lambda: copy_rows(stored, 1)
    )

    assert first is second
    assert other is None
    assert asked == [2 * 16, 16]
