"""Windows of recordings."""

import numpy as np
import pytest

from dcase_sweep.inference.windows import Windows
from dcase_sweep.utils.errors import UserError

RATE = 1_000
NO_TAIL = 40  # samples: one frame of analysis, 40 ms


def cut(
    samples: int, *, length: int = 1_000, overlap: float = 0.5, grid: int = 1, padding: str = "zeros", block: int = 137
) -> list[tuple[int, np.ndarray]]:
    """Starts and samples of the windows of a recording whose samples are 1, 2, 3 ..."""
    recording = np.arange(1, samples + 1, dtype=np.float32)
    blocks = [recording[start : start + block] for start in range(0, samples, block)]
    windows = Windows(blocks, length=length, overlap=overlap, grid=grid, padding=padding, sample_rate=RATE)  # type: ignore[arg-type]
    found = [(window.start, window.samples) for window in windows]
    assert windows.samples == samples
    return found


@pytest.mark.parametrize("block", [1, 137, 999, 5_000])
@pytest.mark.parametrize("samples", [1_000, 1_500, 2_345, 5_000])
def test_windows_are_parts_of_the_recording_in_whatever_blocks_it_is_read(samples: int, block: int) -> None:
    for start, window in cut(samples, block=block):
        assert np.array_equal(window, np.arange(start + 1, start + 1_001))


@pytest.mark.parametrize(
    ("samples", "overlap", "starts"),
    [
        (1_000, 0.5, [0]),
        (1_000 + NO_TAIL, 0.5, [0]),
        (1_000 + NO_TAIL + 1, 0.5, [0, NO_TAIL + 1]),
        (2_000, 0.5, [0, 500, 1_000]),
        (2_100, 0.5, [0, 500, 1_000, 1_100]),
        (3_000, 0.0, [0, 1_000, 2_000]),
        (2_000, 0.75, [0, 250, 500, 750, 1_000]),
    ],
)
def test_the_last_window_ends_with_the_recording(samples: int, overlap: float, starts: list[int]) -> None:
    assert [start for start, _ in cut(samples, overlap=overlap)] == starts


@pytest.mark.parametrize(("padding", "last"), [("zeros", 0.0), ("repeat", 1.0)])
def test_a_short_recording_is_extended_as_in_training(padding: str, last: float) -> None:
    ((start, window),) = cut(333, padding=padding)

    assert (start, len(window), window[332], window[333]) == (0, 1_000, 333.0, last)


def test_windows_begin_at_multiples_of_the_grid() -> None:
    found = cut(2_450, grid=64)

    assert [start for start, _ in found] == [0, 448, 896, 1_344, 1_472]
    assert np.array_equal(found[-1][1][:978], np.arange(1_473, 2_451))
    assert not found[-1][1][978:].any()


def test_less_than_a_step_of_the_grid_at_the_end_needs_no_window() -> None:
    assert [start for start, _ in cut(1_064, grid=64)] == [0]
    assert [start for start, _ in cut(1_065, grid=64)] == [0, 128]


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_an_overlap_that_is_not_possible_is_rejected(overlap: float) -> None:
    with pytest.raises(UserError, match=r"^overlap=.*: expected a number from 0 to 0\.95"):
        cut(1_000, overlap=overlap)
