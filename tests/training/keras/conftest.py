"""The setup of TensorFlow for all tests of this folder."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _threads(one_tensorflow_thread: None) -> None:
    """Set up TensorFlow before its first use."""
