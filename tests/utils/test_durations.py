"""Times in words."""

import pytest

from dcase_sweep.utils.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0.0 s"),
        (0.04, "0.0 s"),
        (4.66, "4.7 s"),
        (9.94, "9.9 s"),
        (9.96, "0:00:10"),
        (59.6, "0:01:00"),
        (750, "0:12:30"),
        (11_523.7, "3:12:04"),
        (200_000, "2 days, 7:33:20"),
    ],
)
def test_short_times_have_tenths_and_longer_ones_none(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected
