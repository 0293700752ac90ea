"""The start of a run: `python -m tests.benchmarks start [--template PATH --template-python PYTHON]`.

Seconds from the command to its first line, and to the first batch of the demo, whose recordings and features are
stored. A table shows how long each library takes to import before the first line and after it, by
``python -X importtime``, which itself slows the imports down.

With --template the same for https://github.com/ashleve/lightning-hydra-template, whose digits are replaced by random
ones of the same size. The processes of both take turns.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table

ROOT = Path(__file__).resolve().parents[2]
#: A callback that writes the time of the first batch, and ends the process.
_CALLBACK = """
import os
import time

from {lightning} import Callback


class FirstBatch(Callback):
    def on_train_batch_start(self, *arguments, **keywords):
        with open("first_batch.txt", "w") as file:
            file.write(str(time.time()))
        os._exit(0)
"""
_OURS = ["-m", "dcase_sweep", "data=demo", "training.epochs=1"]
_OWN_CALLBACK = "+callbacks.first_batch._target_=first_batch.FirstBatch"
_IMPORT = re.compile(rb"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")
#: Libraries below this number of seconds are summed up.
_LEAST = 0.05


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the command to its first line and to its first batch."""

    line: float
    batch: float


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is shown (default: 5)")
    parser.add_argument("--template", type=Path, help="a checkout of lightning-hydra-template")
    parser.add_argument("--template-python", default=sys.executable, help="the Python of an environment for it")
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        cases = {"dcase_sweep": _prepare_ours(Path(folder))}
        if options.template is not None:
            cases["lightning-hydra-template"] = _prepare_template(options.template, options.template_python)
        found: dict[str, list[Start]] = {name: [] for name in cases}
        for _ in range(options.rounds + 1):
            for name, (words, where, environment) in cases.items():
                found[name].append(_measure(words, where, environment))
        rows = [["", "first line, s", "first batch, s"]]
        for name, starts in found.items():
            line, batch = (statistics.median(getattr(one, key) for one in starts[1:]) for key in ("line", "batch"))
            rows.append([name, f"{line:.2f}", f"{batch:.2f}"])
            record(Figure(f"{name}: first line", line, "s", "smaller", 2.0 if name == "dcase_sweep" else None))
            record(Figure(f"{name}: first batch", batch, "s", "smaller", 6.0 if name == "dcase_sweep" else None))
        print_table(rows)
        words, where, environment = cases["dcase_sweep"]
        print_table(_list_imports(words, where, environment))


def _prepare_ours(folder: Path) -> tuple[list[str], Path, Mapping[str, str]]:
    """Return a command whose recordings and features are stored, its folder and its environment."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{folder}", "DCASE_SWEEP_CACHE": str(folder / "cache")}
    words = [sys.executable, *_OURS]
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    (folder / "first_batch.py").write_text(_CALLBACK.format(lightning="pytorch_lightning"), encoding="utf-8")
    return [*words, _OWN_CALLBACK], folder, environment


def _prepare_template(path: Path, python: str) -> tuple[list[str], Path, Mapping[str, str]]:
    """Return the template's command for random digits."""
    digits = path / "data" / "MNIST" / "raw"
    digits.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, count in (("train", 60_000), ("t10k", 10_000)):
        images = rng.integers(0, 256, count * 28 * 28, dtype=np.uint8)
        header = np.array([0x803, count, 28, 28], dtype=">i4").tobytes()
        (digits / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        header = np.array([0x801, count], dtype=">i4").tobytes()
        (digits / f"{name}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    (path / "first_batch.py").write_text(_CALLBACK.format(lightning="lightning.pytorch"), encoding="utf-8")
    words = [python, "src/train.py", "trainer.max_epochs=1", _OWN_CALLBACK]
    return words, path, os.environ | {"PYTHONPATH": str(path)}


def _measure(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Start:
    """Run a command up to its first batch."""
    noted = folder / "first_batch.txt"
    noted.unlink(missing_ok=True)
    began = time.time()
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    first, said = 0.0, []
    for text in process.stdout:
        if text.strip() and not first:
            first = time.time()
        said.append(text)
    if process.wait() or not noted.exists():
        raise SystemExit(f"{' '.join(words)}: exit code {process.returncode}\n{b''.join(said[-20:]).decode()}")
    return Start(first - began, float(noted.read_text()) - began)


def _list_imports(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> list[list[str]]:
    """Return the seconds for which each library is imported before the first line, and after it."""
    process = subprocess.run(
        [words[0], "-X", "importtime", *words[1:]],
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    parts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    is_after = False
    for text in process.stdout.splitlines():
        found = _IMPORT.search(text)
        if found is None:
            is_after = is_after or (bool(text.strip()) and not text.startswith(b"import time:"))
        else:
            parts[is_after][found[2].decode().partition(".")[0]] += int(found[1])
    rows = [["library", "before the first line, s", "after it, s"]]
    total = {name: (parts[0][name] + parts[1][name]) / 1e6 for name in {*parts[0], *parts[1]}}
    large = sorted((name for name in total if total[name] >= _LEAST), key=lambda name: -total[name])
    for name in large:
        rows.append([name, *(f"{part[name] / 1e6:.2f}" for part in parts)])
    rows.append(["others", *(f"{sum(part[name] for name in total if name not in large) / 1e6:.2f}" for part in parts)])
    return [*rows, ["all", *(f"{sum(part.values()) / 1e6:.2f}" for part in parts)]]


if __name__ == "__main__":
    main()
