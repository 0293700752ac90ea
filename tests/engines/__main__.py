"""``python -m tests.engines``: the tests with real servers, which the suite leaves out.

A server that is not installed is skipped, and named. On Debian: ``apt-get install postgresql``.
"""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), "-n", "0", "-v", *sys.argv[1:]]))
