"""``python -m tests.benchmarks.comparison [--page FILE]``: seconds to compare 500 runs and to make their page.

Half of the runs are of scenes, with 2,000 test clips that are resampled 1,000 times; each has the curves of 200 epochs.
The page's title says in a browser how long it took to show, from the beginning of the navigation.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from dcase_sweep.evaluation.comparison.differences import compare_with_best
from dcase_sweep.evaluation.comparison.page import to_html
from dcase_sweep.evaluation.comparison.systems import ComparedRun, group_runs
from dcase_sweep.evaluation.scenes.resampling import class_average
from tests.benchmarks.figures import Figure, record

SYSTEMS, SEEDS, CLIPS, EPOCHS = 125, 2, 2000, 200
CURVES = ("train/loss", "validation/loss", "validation/accuracy")
TRUTH = np.arange(CLIPS) % 10
#: Written at the end of the page's program, after everything is shown.
TIMED = 'showAll(); document.body.offsetHeight; document.title = Math.round(performance.now()) + " ms";\n</script>'


def make_run(task: str, number: int, seed: int, rng: np.random.Generator) -> ComparedRun:
    """A run with random results."""
    parameters = {"task.name": task, "task": task, "model": "cnn", "optimizer.lr": str(number), "seed": str(seed)}
    metrics = {"complexity/parameters": 46_246.0, "complexity/nonzero_kib_16bit": 90.8}
    load = None
    if task == "1a":
        correct = (rng.random(CLIPS) < 0.4 + 0.001 * number).astype(float)
        statistic = class_average(correct, TRUTH, 10)
        statistics = {"test/accuracy": statistic, "test/log_loss": statistic}
        clips = tuple(map(str, range(CLIPS)))
        metrics |= {"test/accuracy": float(correct.mean()), "test/log_loss": 1.5}
        metrics |= {f"test/accuracy_device_{device}": 0.4 for device in "abc"}
        metrics |= {f"test/accuracy_scene_{scene}": 0.4 for scene in range(10)}

        def load() -> tuple[tuple[str, ...], dict[str, object]]:
            return clips, statistics
    else:
        parameters["evaluation.cross_trigger_average"] = "all"
        metrics |= {"test/psds1": 0.3 + 0.0001 * number, "test/psds2": 0.5, "test/f1": 0.4}
        metrics |= {f"test/teacher/event_f1/class {label}": 0.4 for label in range(10)}
    history = {name: list(np.exp(-np.arange(EPOCHS) / 50) + 0.02 * rng.random(EPOCHS)) for name in CURVES}
    return ComparedRun(f"{number:06x}{seed}", f"run {number}", parameters, metrics, history, load)  # type: ignore[arg-type]


def main() -> None:
    """Print the seconds of each step, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="where to write the page")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    runs = [make_run(t, number, seed, rng) for t in ("1a", "4") for number in range(SYSTEMS) for seed in range(SEEDS)]
    began = time.perf_counter()
    systems = group_runs(runs)
    grouped = time.perf_counter()
    comparisons = compare_with_best(systems)
    tested = time.perf_counter()
    page = to_html(systems, comparisons)
    print(f"{len(runs)} runs in {len(systems)} rows: {grouped - began:.2f} s")
    record(Figure(f"tests of {len(comparisons)} differences", tested - grouped, "s", "smaller"))
    record(Figure(f"page of {len(runs)} runs", time.perf_counter() - tested, "s", "smaller"))
    print(f"{len(comparisons)} differences: {tested - grouped:.1f} s")
    print(f"page of {len(page) / 1e6:.1f} MB: {time.perf_counter() - tested:.1f} s")
    if options.page is not None:
        options.page.write_text(page.replace("showAll();\n</script>", TIMED), encoding="utf-8")


if __name__ == "__main__":
    main()
