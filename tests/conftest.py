"""Fixtures that several test modules share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real recordings and published score tables that lies beside the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real recordings: {SHARED} is not there")
    return SHARED
