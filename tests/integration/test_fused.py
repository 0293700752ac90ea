"""Jobs of a grid that are trained together."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.integration.test_experiment import client

GRID = ("-m", "model.units=8,16", "seed=0,1", "hardware.precision=32-true")


def _read_comparison(folder: Path) -> list[dict[str, str]]:
    with (folder / "comparison.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_jobs_of_one_architecture_are_trained_together_with_the_results_of_lone_ones(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    folders = [command_line.folder / name for name in ("together", "alone")]

    output = command_line(
        *GRID, *tiny(f"hydra.sweep.dir={folders[0]}", "hydra/launcher=fused", "hydra.launcher.stacked=true")
    )
    command_line(*GRID, *tiny(f"hydra.sweep.dir={folders[1]}"))

    assert "together  2 jobs of one architecture: #0, #1" in output
    assert "together  2 jobs of one architecture: #2, #3" in output
    assert "4 of 4 jobs finished" in output
    rows, expected = map(_read_comparison, folders)
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected, strict=True):
        for name, value in row.items():
            if "seconds" in name or "speed" in name:
                continue
            try:
                assert float(value) == pytest.approx(float(other[name]), abs=1e-4), name
            except ValueError:
                assert value == other[name], name
    for number in range(4):
        folder = folders[0] / f"{number}"
        assert {"best.ckpt", "last.ckpt"} <= {each.name for each in (folder / "checkpoints").iterdir()}
        text = (folder / "dcase_sweep.log").read_text(encoding="utf-8")
        assert text.count("training  2 epochs") == 1
        assert f"seed {number % 2}" in text
        assert f"seed {1 - number % 2}" not in text
    store, experiment = client(command_line.folder)
    runs = store.search_runs([experiment], "attributes.status = 'FINISHED'")  # type: ignore[attr-defined]
    assert len([run for run in runs if "mlflow.parentRunId" in run.data.tags]) == 8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hydra.launcher.max_jobs=0"], "hydra.launcher.max_jobs=0: expected a number of jobs, at least 1, or null"),
        (["hydra.launcher.stacked=maybe"], "hydra.launcher.stacked=maybe: expected true, false or null"),
        (["hydra/sweeper=optuna", "search=scene_cnn"], "hydra/launcher=fused: trains the jobs of a grid"),
    ],
)
def test_settings_that_are_impossible_are_refused(
    words: list[str], says: str, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    output = command_line("-m", *tiny("seed=0,1", "hydra/launcher=fused", *words), code=1)

    assert says in output
