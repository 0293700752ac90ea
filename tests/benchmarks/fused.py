"""How fast several seeds train together, compared with one after the other: `python -m tests.benchmarks fused`.

`baseline_cnn` on random features, by the recipe (batches of 16), on a GPU if there is one (TAU's size), else on a CPU.
The first epoch of each training is not counted. `--small` takes few clips.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks import gpu_data
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, print_table

#: Clips that are trained on and validated on a CPU.
ON_CPU = (160, 32)
AIM = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", help="trainings at a time (default: 2 4 8; on a GPU 8 16)")
    parser.add_argument("--epochs", type=int, default=3, help="of each training, the first not counted (default: 3)")
    parser.add_argument("--stacked", action="store_true", help="compute the networks as one on a CPU too")
    parser.add_argument("--small", action="store_true", help="few clips")
    parser.add_argument("overrides", nargs="*", help="of the experiment, such as hardware.precision=32-true")
    options = parser.parse_args()
    import torch

    has_gpu = torch.cuda.is_available()
    sizes = (64, 16) if options.small else gpu_data.SCENES if has_gpu else ON_CPU
    hardware = "gpu" if has_gpu else "cpu"
    print(f"{torch.cuda.get_device_name() if has_gpu else describe_machine()}, PyTorch {torch.__version__}", flush=True)
    rows = [("seeds together", "s an epoch of all", "clips/s of all", "compared with one after another")]
    with tempfile.TemporaryDirectory() as folder:
        features = store(gpu_data.random_features((sum(sizes), 40, 500), "cuda" if has_gpu else "cpu"), Path(folder))

        def make(seed: int) -> Any:
            fixed = (f"hardware={hardware}", f"training.epochs={options.epochs}", *options.overrides, f"seed={seed}")
            return gpu_data.scene_learner(features, sizes, *fixed)

        lone = time_epochs([Path(folder) / "lone"], make, run_alone)
        rows.append(("1", f"{lone:.3f}", f"{sizes[0] / lone:,.0f}", ""))
        for jobs in options.jobs or ([2] if options.small else [8, 16] if has_gpu else [2, 4, 8]):
            folders = [Path(folder) / f"{jobs}" / f"{seed}" for seed in range(jobs)]
            seconds = time_epochs(folders, make, partial(run_together, stacked=options.stacked or None))
            faster = jobs * lone / seconds
            record(Figure(f"{jobs} seeds together on a {hardware}", faster, "×", aim=AIM if jobs == 16 else None))
            rows.append((f"{jobs}", f"{seconds:.3f}", f"{jobs * sizes[0] / seconds:,.0f}", f"{faster:.2f} ×"))
    print_table(rows)


def store(features: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    """Features in a file, which trainings share as those of the feature store."""
    np.save(folder / "features.npy", features)
    stored: NDArray[np.float32] = np.load(folder / "features.npy", mmap_mode="r")
    return stored


def run_alone(functions: Sequence[Callable[[], Any]]) -> None:
    for function in functions:
        function()


def run_together(functions: Sequence[Callable[[], Any]], stacked: bool | None = None) -> None:
    """Run trainings as the jobs of `hydra/launcher=fused`."""
    from dcase_sweep.training.fused.coordinator import Coordinator
    from dcase_sweep.training.fused.random_state import RANDOM
    from dcase_sweep.utils.turns import STATES, Turn

    turns = [Turn(each, (*STATES, RANDOM), name=str(number)) for number, each in enumerate(functions)]
    Coordinator(turns, None, stacked).run()


def time_epochs(
    folders: Sequence[Path], make: Callable[[int], Any], run: Callable[[Sequence[Callable[[], Any]]], None]
) -> float:
    """Seconds of an epoch of all trainings together, validation included."""
    ends: list[list[float]] = [[] for _ in folders]

    def train(seed: int) -> None:
        learner = make(seed)
        learner.fit(folders[seed], extra={}, on_epoch=lambda epoch, metrics: ends[seed].append(time.perf_counter()))

    run([lambda seed=seed: train(seed) for seed in range(len(folders))])  # type: ignore[misc]
    counted = len(ends[0]) - 1
    return (max(each[-1] for each in ends) - max(each[0] for each in ends)) / counted


if __name__ == "__main__":
    main()
