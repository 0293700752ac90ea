"""Usable cores and the wait policy of OpenMP."""

import os

import pytest

from dcase_sweep.utils.cpu import set_openmp_wait_policy, usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system confines no process to cores")
def test_only_cores_of_the_affinity_mask_are_counted() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)

    assert usable_cores() == len(before)
    assert usable_cores(at_most=1) == 1


def test_waiting_threads_sleep_early_unless_a_policy_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    set_openmp_wait_policy()
    assert os.environ.pop("GOMP_SPINCOUNT") == "1000"

    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    set_openmp_wait_policy()
    assert "GOMP_SPINCOUNT" not in os.environ

    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    set_openmp_wait_policy()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
