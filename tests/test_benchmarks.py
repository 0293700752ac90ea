"""The benchmarks' common run: what it keeps, skips, compares and returns."""

import json
import math
import sys
from pathlib import Path

import pytest

from tests.benchmarks import all as every
from tests.benchmarks.figures import VARIABLE, Figure, find_losses, read_recorded, record

RATIO = Figure("beside another", 2.0, "×", aim=1.5)
SECONDS = Figure("of a step", 3.0, "s", "smaller", aim=1.0)


def test_recorded_figures_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "figures.jsonl"))

    record(RATIO)
    record(SECONDS)

    assert read_recorded(tmp_path / "figures.jsonl") == [RATIO, SECONDS]
    assert read_recorded(tmp_path / "none.jsonl") == []
    assert (RATIO.is_met, SECONDS.is_met, Figure("x", 1.0, "s").is_met) == (True, False, None)


@pytest.mark.parametrize(
    ("figure", "before", "is_worse"),
    [
        (Figure("a", 1.0, "×"), 2.0, True),
        (Figure("a", 1.6, "×"), 2.0, False),
        (Figure("a", 3.0, "×"), 2.0, False),
        (Figure("a", 3.0, "%", "smaller"), 2.0, True),
        (Figure("a", 1.0, "%", "smaller"), 2.0, False),
        (Figure("a", 9.0, "s", "smaller"), 2.0, False),  # of another machine
        (Figure("b", 1.0, "×"), 2.0, False),
        (Figure("a", math.nan, "×"), 2.0, False),
    ],
)
def test_only_ratios_are_compared_and_only_larger_losses_are_reported(
    figure: Figure, before: float, is_worse: bool
) -> None:
    earlier = {"figures": {"part": [{"name": "a", "value": before, "unit": figure.unit}]}}

    assert bool(find_losses({"part": [figure]}, earlier, 0.25)) == is_worse


def _write(path: Path, value: float, *, small: bool = True) -> Path:
    figures = {"bootstrap": [{"name": "beside another", "value": value, "unit": "×"}]}
    path.write_text(json.dumps({"small": small, "figures": figures}))
    return path


@pytest.fixture
def run_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run with parts that record a figure, record none, fail and cannot run."""
    source = "from tests.benchmarks.figures import *; record(Figure('beside another', 2.0, '×', aim=1.5))"
    bodies = {"good": source, "silent": "pass", "bad": "raise SystemExit(3)", "absent": source}

    def start(command: list[str], **options: object) -> object:
        if command[0] == "git":
            return original(command, **options)
        return original([sys.executable, "-c", bodies[command[-1].rpartition(".")[2]]], **options)

    original = every.subprocess.run
    monkeypatch.setattr(every.subprocess, "run", start)
    part = every.Part(lambda options: [], lambda options: [])
    absent = every.Part(lambda options: [], None)
    monkeypatch.setattr(
        every, "PARTS", {"good": part, "bootstrap": part, "silent": part, "bad": part, "absent": absent}
    )
    bodies["bootstrap"] = source

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["all", *words, "--small", "--json", str(tmp_path / "found.json")])
        return every.main()

    return run


def test_a_part_that_fails_does_not_keep_the_others_from_running(run_all, tmp_path: Path, capfd) -> None:
    assert run_all() == 1

    found = json.loads((tmp_path / "found.json").read_text())
    assert found["figures"]["good"][0]["value"] == 2.0
    assert found["failed"] == {"silent": "it has recorded no figure", "bad": "exit code 3"}
    assert found["skipped"] == {"absent": "not part of --small"}
    assert {"machine", "date", "commit"} <= found.keys()
    assert "≥ 1.5 ×" in capfd.readouterr().out


def test_a_ratio_that_has_become_worse_is_reported(run_all, tmp_path: Path, capfd) -> None:
    assert run_all("good", "bootstrap", "--compare", str(_write(tmp_path / "before.json", 2.1))) == 0
    assert run_all("good", "bootstrap", "--compare", str(_write(tmp_path / "before.json", 4.0))) == 1
    assert "worse: bootstrap, beside another: 2 ×, 4 × before" in capfd.readouterr().out
    with pytest.raises(SystemExit, match="its figures are not those of --small"):
        run_all("good", "--compare", str(_write(tmp_path / "before.json", 2.0, small=False)))


def test_every_part_is_a_benchmark_that_records_figures() -> None:
    folder = Path(every.__file__).parent

    assert all((folder / f"{name}.py").is_file() for name in every.PARTS)
    assert all("record(" in (folder / f"{name}.py").read_text() for name in every.PARTS)
