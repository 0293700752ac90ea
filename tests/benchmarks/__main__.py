"""Runs one part of the benchmarks: `python -m tests.benchmarks PART [options]`."""

import runpy
import sys
from pathlib import Path

#: Modules that are no part of their own.
_SHARED = (
    "__init__",
    "__main__",
    "figures",
    "fused_trainings",
    "measure",
    "gpu_data",
    "gpu_device",
    "gpu_peers",
    "gpu_step",
    "gpu_variants",
    "gpu_whole",
    "keras_peer",
    "studies",
)


def main() -> None:
    parts = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _SHARED)
    if len(sys.argv) < 2 or sys.argv[1] not in parts:
        raise SystemExit(f"usage: python -m tests.benchmarks PART [options]; expected one of {', '.join(parts)}")
    part = sys.argv.pop(1)
    sys.argv[0] = f"python -m tests.benchmarks {part}"
    runpy.run_module(f"tests.benchmarks.{part}", run_name="__main__")


if __name__ == "__main__":
    main()
