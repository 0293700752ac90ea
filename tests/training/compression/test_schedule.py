"""The schedule of a compression."""

import pytest

from dcase_sweep.config import Compression
from dcase_sweep.training.compression.schedule import Schedule


def test_zeros_become_more_by_the_cubic_schedule() -> None:
    schedule = Schedule.of(Compression(nonzero_kib=126, begin=0.1, end=0.5), epochs=10, steps_per_epoch=10)

    shares = [schedule.pruned_share(step) for step in (0, 10, 20, 30, 49, 50, 100)]

    assert (schedule.begin, schedule.end) == (10, 50)
    assert shares == pytest.approx([0, 0, 1 - 0.75**3, 0.875, 1 - (1 / 40) ** 3, 1, 1])


def test_all_at_once() -> None:
    schedule = Schedule.of(Compression(nonzero_kib=126, begin=0.0, end=0.0), epochs=4, steps_per_epoch=5)

    assert schedule.pruned_share(0) == 1
    assert schedule.complete == 0


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        (Compression(nonzero_kib=126), 9),  # steps 0 to 70 of 140 prune: the end of epoch 10 has all zeros
        (Compression(nonzero_kib=126, end=0.52), 10),
        (Compression(nonzero_kib=126, end=1.0), 19),
        (Compression(quantize=True, quantize_from=0.25), 5),
        (Compression(nonzero_kib=126, quantize=True, quantize_from=0.7), 14),
        (Compression(nonzero_kib=126, quantize=True, quantize_from=0.25), 9),
        (Compression(start="run"), 0),
    ],
)
def test_only_epochs_with_all_of_it_may_be_kept(settings: Compression, first: int) -> None:
    assert Schedule.of(settings, epochs=20, steps_per_epoch=7).complete == first
