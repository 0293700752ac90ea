"""The setup of TensorFlow for all tests of this folder."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _threads(one_tensorflow_thread: None) -> None:
    """Before anything here begins TensorFlow."""
