"""Locks on files in use, on systems with and without them."""

from pathlib import Path

import pytest

from dcase_sweep.utils import leases


@pytest.fixture
def held(tmp_path: Path) -> Path:
    path = tmp_path / "folder/features.npy"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_file_in_use_is_not_claimed_until_it_is_released(held: Path) -> None:
    assert leases.hold(held)
    with leases.claim(held) as is_free:
        assert not is_free

    leases.release(held)

    with leases.claim(held) as is_free:
        assert is_free


def test_without_such_locks_every_file_is_granted_and_none_stays_open(
    held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulate Windows, where a folder with an open file cannot be renamed."""
    monkeypatch.setattr(leases, "fcntl", None)
    monkeypatch.setattr(leases.os, "open", lambda *_: pytest.fail("opened"))

    with leases.claim(held) as is_free:
        assert is_free
