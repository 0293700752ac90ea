"""The option ``--all`` of ``python -m tests.engines``: tests that take minutes are left out without it."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the tests that take minutes, too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "minutes: takes minutes; run by python -m tests.engines --all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    for item in items:
        if item.get_closest_marker("minutes") is not None:
            item.add_marker(pytest.mark.skip(reason="takes minutes: python -m tests.engines --all"))
