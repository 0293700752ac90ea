"""How many cores there are to use."""

import os

import pytest

from dcase_sweep.cores import usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system confines no process to cores")
def test_a_confined_process_counts_the_cores_that_it_may_use() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)

    assert usable_cores() == len(before)
    assert usable_cores(at_most=1) == 1
