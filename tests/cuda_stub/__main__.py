"""``python -m tests.cuda_stub``: the tests of what runs only on a GPU, on one that computes nothing.

With a command it runs that instead: ``python -m tests.cuda_stub python -m dcase_sweep hardware=gpu``. Options are
pytest's.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cuda_stub import build, find_obstacle


def main(arguments: list[str]) -> int:
    """Run the tests or a command; returns the exit code."""
    if not arguments or arguments[0].startswith("-"):
        import pytest

        return pytest.main([str(Path(__file__).parent), "-n", "0", "-v", *arguments])
    obstacle = find_obstacle()
    if obstacle is not None:
        print(f"tests.cuda_stub: {obstacle}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(arguments, env=build(Path(folder)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
