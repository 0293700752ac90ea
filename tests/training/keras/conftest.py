"""TensorFlow as all tests here begin it."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _threads(one_tensorflow_thread: None) -> None:
    """Before anything here begins TensorFlow."""
