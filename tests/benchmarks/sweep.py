"""How soon the next job of a sweep trains: `python -m tests.benchmarks.sweep`.

Runs a real multirun of three seeds, one epoch each, in this process and in a temporary folder, and prints the seconds
from the end of each job to the first training batch of the next one, and the seconds that each MLflow model takes. The
first job also pays for imports, for the demo recordings unless `--root` names others, and for features.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, make_parser, print_table


def main() -> None:
    parser = make_parser(__doc__)
    options = parser.parse_args()
    data = [f"data.root={options.root.resolve()}", "data=tau2020"] if options.root else ["data=demo"]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        starts, ends, models = _run([*data, "training.epochs=1"], Path(folder))
    print(describe_machine())
    record(Figure("command to the first batch", starts[0] - began, "s", "smaller"))
    rows = [("", "s"), ("command to the first batch", f"{starts[0] - began:.2f}")]
    for job, (end, start) in enumerate(zip(ends, starts[1:], strict=False)):
        record(Figure(f"end of job {job} to the first batch of job {job + 1}", start - end, "s", "smaller", 2.0))
        rows.append((f"end of job {job} to the first batch of job {job + 1}", f"{start - end:.2f}"))
    for name, seconds in (("the first MLflow model", models[0]), ("a further MLflow model", min(models[1:]))):
        record(Figure(name, seconds, "s", "smaller"))
        rows.append((name, f"{seconds:.3f}"))
    print_table(rows)
    print("aimed at: at most 2 s between jobs")


def _run(overrides: list[str], folder: Path) -> tuple[list[float], list[float], list[float]]:
    """When each job trained its first batch, when it ended, and the seconds that its MLflow model took."""
    os.environ["DCASE_SWEEP_CACHE"] = str(folder / "cache")
    from dcase_sweep import runner
    from dcase_sweep.__main__ import main as command
    from dcase_sweep.runner import execution
    from dcase_sweep.training.scenes.module import SceneModule

    starts: list[float] = []
    ends: list[float] = []
    models: list[float] = []
    run, training_step, log_model = runner.run, SceneModule.training_step, execution.log_model

    def timed_run(*arguments: Any) -> Any:
        outcome = run(*arguments)
        ends.append(time.perf_counter())
        return outcome

    def timed_step(*arguments: Any) -> Any:
        if len(starts) == len(ends):
            starts.append(time.perf_counter())
        return training_step(*arguments)

    def timed_model(*arguments: Any) -> None:
        began = time.perf_counter()
        log_model(*arguments)
        models.append(time.perf_counter() - began)

    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.object(runner, "run", timed_run),
            mock.patch.object(SceneModule, "training_step", timed_step),
            mock.patch.object(execution, "log_model", timed_model),
        ):
            code = command(["-m", "seed=0,1,2", *overrides])
    finally:
        os.chdir(before)
    if code:
        raise SystemExit(f"the sweep ended with exit code {code}")
    return starts, ends, models


if __name__ == "__main__":
    main()
