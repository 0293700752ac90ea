"""Common parts of the benchmarks: alternating timing, description of the machine, a data set."""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark of scene classification takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a folder in TAU's layout (default: the generated demo set)")
    return parser


@contextmanager
def recordings(root: Path | None) -> Iterator[Path]:
    """The given folder in TAU's layout, or a small generated one that is removed afterwards."""
    if root is not None:
        yield root
        return
    from dcase_sweep.demo.scenes import generate_scenes

    with tempfile.TemporaryDirectory() as folder:
        generate_scenes(Path(folder), train_clips=120, test_clips=30)
        yield Path(folder)


def time_in_turn(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side in each round, A B A B, after a round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median over the rounds of each round's own ratio, so that a slow minute weighs on both sides alike."""
    return statistics.median(above / below for above, below in zip(numerator, denominator, strict=True))


def matrix_rate(precision: str, size: int = 2048) -> float:
    """Floating-point operations a second of a square matrix product on all cores, in ``bf16-mixed`` or float32."""
    import torch

    matrix = torch.randn(size, size, dtype=torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def describe_machine() -> str:
    """Processor, cores and how busy they are with something else."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}: {os.cpu_count()} cores{load}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads"


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell, the first one to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]))
