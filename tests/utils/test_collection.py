"""Pauses of the garbage collector."""

import gc
import sys
from contextlib import suppress
from types import ModuleType

import pytest

from dcase_sweep.utils import collection
from dcase_sweep.utils.collection import importing, own_process, paused_collection


@pytest.fixture(autouse=True)
def unfrozen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the collector was told, without its doing so in the process of the tests."""
    calls: list[str] = []
    monkeypatch.setattr(collection, "_keeps_imports", False)
    for name in ("freeze", "collect"):
        monkeypatch.setattr(gc, name, lambda name=name: calls.append(name))
    return calls


def test_the_collector_is_paused_and_runs_again_after_an_error() -> None:
    states = []
    with suppress(ZeroDivisionError), paused_collection():
        states.append(gc.isenabled())
        with paused_collection():
            pass
        states.append(gc.isenabled())  # the outer pause goes on
        raise ZeroDivisionError

    assert states == [False, False]
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("is_own", "modules", "expected"), [(True, 100, 1), (True, 99, 0), (False, 100, 0)])
def test_only_large_imports_of_our_own_processes_are_ignored_from_then_on(
    unfrozen: list[str], monkeypatch: pytest.MonkeyPatch, is_own: bool, modules: int, expected: int
) -> None:
    monkeypatch.setattr(collection, "_keeps_imports", is_own)

    with importing():
        for number in range(modules):
            monkeypatch.setitem(sys.modules, f"imported_{number}", ModuleType(f"imported_{number}"))

    assert unfrozen == ["freeze"] * expected


def test_a_process_collects_what_it_leaves_before_that_is_ignored(unfrozen: list[str]) -> None:
    with suppress(SystemExit), own_process():
        raise SystemExit(1)

    assert unfrozen == ["collect", "freeze"]
