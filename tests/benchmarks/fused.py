"""How fast several seeds train together: `python -m tests.benchmarks fused`.

Compared with one seed after the other, and with as many processes at the same time: on a GPU under MPS, if it is
installed, on a CPU with the cores divided among them. `--task 1a` is `baseline_cnn` on random features by the recipe
(batches of 16), `--task 4` the mean teacher (batches of 48); on a GPU, if there is one, of the sizes of TAU and DESED.
The first epoch of each training is not counted. On a GPU the networks of task 1A are one graph, and are also compared
with recorded steps on a stream each, and with trainings without graphs. `--small` takes few clips.
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.fused_trainings import Trainings, run_alone, run_together, time_epochs, time_processes
from tests.benchmarks.measure import describe_machine, print_table

#: Aims on a GPU with 16 seeds of task 1A: compared with one after the other without graphs, and with 16 processes
#: under MPS.
AIMS, AIMED = (8.0, 2.0), 16
#: Seeds at a time.
JOBS = {"small": [2], "cpu": [2, 4, 8], "cuda": [8, 16]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", choices=("1a", "4"), default=["1a"], help="(default: 1a)")
    parser.add_argument("--jobs", type=int, nargs="+", help="trainings at a time (default: 2 4 8; on a GPU 8 16)")
    parser.add_argument("--epochs", type=int, default=3, help="of each training, the first not counted (default: 3)")
    parser.add_argument("--stacked", action="store_true", help="compute the networks of task 1A as one on a CPU too")
    parser.add_argument("--no-processes", action="store_true", help="do not compare with separate processes")
    parser.add_argument("--small", action="store_true", help="few clips")
    parser.add_argument("overrides", nargs="*", help="of the experiment, such as hardware.precision=32-true")
    options = parser.parse_args()
    import torch

    has_gpu = torch.cuda.is_available()
    print(f"{torch.cuda.get_device_name() if has_gpu else describe_machine()}, PyTorch {torch.__version__}", flush=True)
    for task in options.task:
        measure(
            task,
            "cuda" if has_gpu else "cpu",
            small=options.small,
            jobs=options.jobs,
            epochs=options.epochs,
            stacked=options.stacked or None,
            has_processes=not options.no_processes,
            overrides=options.overrides,
        )


def measure(
    task: str,
    device: str,
    *,
    small: bool = False,
    jobs: Sequence[int] | None = None,
    epochs: int = 3,
    stacked: bool | None = None,
    has_processes: bool = True,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure and print one task; returns seconds of an epoch of all trainings, by what was run and their number."""
    size = "small" if small else device
    hardware = "gpu" if device == "cuda" else "cpu"
    name = "seeds" if task == "1a" else "seeds of task 4"
    rows = [(f"task {task}: seeds", "s an epoch of all", "clips/s of all", "one after another", "as many processes")]
    found: dict[str, Any] = {"together": {}, "processes": {}}
    with tempfile.TemporaryDirectory() as folder:
        features = Path(folder) / "features.npy"
        trainings = Trainings(task, size, device, features, (f"training.epochs={epochs}", *overrides))
        trainings.draw()
        lone = found["lone"] = time_epochs([Path(folder) / "lone"], trainings.make, run_alone)
        rows.append(("1", f"{lone:.3f}", f"{trainings.clips / lone:,.0f}", "", ""))
        plain = lone
        if device == "cuda":  # as trainings were computed before their steps were recorded
            make = partial(trainings.make, more=("hardware.graphs=false",))
            plain = found["lone without graphs"] = time_epochs([Path(folder) / "plain"], make, run_alone)
            rows.append(("1 without graphs", f"{plain:.3f}", f"{trainings.clips / plain:,.0f}", "", ""))
        for count in jobs or JOBS[size]:
            folders = [Path(folder) / f"{count}" / f"{seed}" for seed in range(count)]
            seconds = time_epochs(folders, trainings.make, partial(run_together, stacked=stacked))
            found["together"][count] = seconds
            aims = AIMS if (task, device, count, small) == ("1a", "cuda", AIMED, False) else (None, None)
            record(Figure(f"{count} {name} together on a {hardware}", count * lone / seconds, "×"))
            if device == "cuda":
                before = f"{count} {name} together on a {hardware}, beside trainings without graphs"
                record(Figure(before, count * plain / seconds, "×", aim=aims[0]))
            if (task, device, stacked) == ("1a", "cuda", None):
                streams = [Path(folder) / f"{count}streams" / f"{seed}" for seed in range(count)]
                other = time_epochs(streams, trainings.make, partial(run_together, stacked=False))
                record(
                    Figure(f"{count} {name} on a {hardware}, each on a stream of its own", count * lone / other, "×")
                )
                clips = f"{count * trainings.clips / other:,.0f}"
                rows.append((f"{count}, a stream each", f"{other:.3f}", clips, f"{count * lone / other:.2f} ×", ""))
            row = (f"{count}", f"{seconds:.3f}", f"{count * trainings.clips / seconds:,.0f}")
            compared = f"{count * lone / seconds:.2f} ×"
            if not has_processes:
                rows.append((*row, compared, ""))
                continue
            apart, how = time_processes(trainings, count, Path(folder) / f"{count}processes")
            found["processes"][count] = apart
            print(f"{count} processes: {how}", flush=True)
            record(
                Figure(f"{count} {name} beside {count} processes on a {hardware}", apart / seconds, "×", aim=aims[1])
            )
            rows.append((*row, compared, f"{apart / seconds:.2f} ×"))
    print_table(rows)
    return found


if __name__ == "__main__":
    main()
