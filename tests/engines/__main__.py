"""``python -m tests.engines``: the tests with real servers, which the suite leaves out.

A server that is not installed is skipped, and named. ``--install`` installs those that Debian has, ``--install-ray``
installs Ray in ``build/engines-ray``. ``--all`` also runs the tests that take minutes. Other options are pytest's.
"""

import sys
from pathlib import Path

from tests.engines.install import install_packages, install_ray


def main(arguments: list[str]) -> int:
    """Install, or run the tests; returns the exit code."""
    if arguments == ["--install"]:
        return install_packages()
    if arguments == ["--install-ray"]:
        return install_ray()
    import pytest

    return pytest.main([str(Path(__file__).parent), "-n", "0", "-v", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
