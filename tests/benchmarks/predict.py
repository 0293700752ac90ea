"""How fast recordings are predicted, and in how much memory: `python -m tests.benchmarks.predict`.

Each network has its full size and weights that are drawn by chance. The command is a process of its own, as people
start it; it reads one long recording of noise at 44.1 kHz, 24 bits, which is resampled where the network's rate is
another. A row follows for each network: how many times faster than real time the command says that it was, how long
the process took with its imports, its processor time, and the most memory that it had.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table
from tests.checkpoints import write_checkpoint

RATE = 44_100
#: Overrides, the prefix of the weights in a checkpoint, and what is aimed at, in times real time.
NETWORKS = {
    "baseline_cnn": (("model=baseline_cnn",), "network.", 100),
    "cnn4": (("model=cnn4",), "network.", 100),
    "cnn5": (("model=cnn5",), "network.", 100),
    "crnn_meanteacher": (("model=crnn_meanteacher",), "student.", 20),
}
CLASSES = tuple(f"class {index}" for index in range(10))


@dataclass(frozen=True)
class Measured:
    """What one command took."""

    speed: float
    seconds: float
    processor_seconds: float
    peak_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=20, help="length of the recording (default: 20)")
    parser.add_argument("--overlap", type=float, default=0.5, help="of neighbouring windows (default: 0.5)")
    parser.add_argument("--networks", nargs="+", choices=tuple(NETWORKS), default=list(NETWORKS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        recording = write_noise(Path(temporary) / "long.wav", options.minutes)
        print(describe_machine())
        print(f"{options.minutes} minutes at {RATE} Hz, overlap {options.overlap:g}")
        rows: list[tuple[str, ...]] = [("", "× real time", "aimed at", "with imports", "processor", "peak")]
        for name in options.networks:
            overrides, prefix, aim = NETWORKS[name]
            checkpoint = write_checkpoint(Path(temporary) / f"{name}.ckpt", overrides, CLASSES, prefix=prefix)
            found = measure([str(checkpoint), str(recording), "--overlap", str(options.overlap)], Path(temporary))
            record(Figure(f"{name}, times real time", found.speed, "× real time", aim=aim))
            record(Figure(f"{name}, peak memory", found.peak_mib, "MiB", "smaller"))
            record(Figure(f"{name}, processor time with imports", found.processor_seconds, "s", "smaller"))
            seconds = [f"{each:.1f} s" for each in (found.seconds, found.processor_seconds)]
            rows.append((name, f"{found.speed:,.0f}", str(aim), *seconds, f"{found.peak_mib:,.0f} MiB"))
    print_table(rows)


def write_noise(path: Path, minutes: int) -> Path:
    """Noise of changing level, written minute by minute."""
    import soundfile

    rng = np.random.default_rng(1)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_24") as file:
        for _ in range(minutes):
            file.write(rng.normal(0, rng.uniform(0.01, 0.1), 60 * RATE).clip(-1, 1))
    return path


def measure(words: Sequence[str], folder: Path) -> Measured:
    """Run the command once."""
    errors = folder / "errors.txt"
    command = [sys.executable, "-m", "dcase_sweep", "predict", *words, "-o", str(folder / "found.csv")]
    began = time.perf_counter()
    with errors.open("w", encoding="utf-8") as handle:
        process = subprocess.Popen(command, stderr=handle)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    said = re.search(r"\(([\d,]+) × real time\)", errors.read_text(encoding="utf-8"))
    if process.returncode or said is None:
        raise SystemExit(errors.read_text(encoding="utf-8"))
    speed = float(said[1].replace(",", ""))
    return Measured(speed, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
