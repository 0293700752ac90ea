"""All benchmarks in one run: `python -m tests.benchmarks all --json FILE`.

Each part is a process of its own. What they print goes to the terminal; a table of their figures follows, with what is
aimed at. A part that this machine cannot run is skipped, and the reason is said. `--small` takes few clips and trials,
to see within minutes that everything runs and that no ratio has become worse: `--compare FILE` names the figures of an
earlier run, and the exit code is 1 where a ratio is worse than there by more than `--tolerance`. Seconds are not
compared, because machines differ.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dcase_sweep.tracking.provenance import git_commit
from tests.benchmarks.figures import VARIABLE, Figure, find_losses, read_recorded
from tests.benchmarks.measure import describe_machine, print_table

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark.

    Attributes:
        words: its arguments.
        small: its arguments with ``--small``; None = it is left out.
        find_obstacle: returns the reason why it cannot run here, or None.
    """

    words: Callable[[argparse.Namespace], Sequence[str]]
    small: Callable[[argparse.Namespace], Sequence[str]] | None
    find_obstacle: Callable[[argparse.Namespace], str | None] = lambda options: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part has measured, and why it failed or was skipped, if so."""

    figures: list[Figure]
    seconds: float = 0.0
    skipped: str | None = None
    failed: str | None = None


def _has(*modules: str) -> str | None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} not installed" if missing else None


def _no_gpu(options: argparse.Namespace) -> str | None:
    import torch

    return None if torch.cuda.is_available() else "PyTorch finds no GPU on this machine"


def _has_gpu(options: argparse.Namespace) -> str | None:
    return "it is measured by gpu on this machine" if _no_gpu(options) is None else None


def _no_scores(options: argparse.Namespace) -> str | None:
    from tests.benchmarks.events import DATA

    return _has("psds_eval", "sed_eval") or (None if DATA.is_dir() else f"no published detections in {DATA}")


def _no_keras(options: argparse.Namespace) -> str | None:
    return None if options.keras_python else _has("tensorflow")


def _recordings(options: argparse.Namespace) -> list[str]:
    return ["--root", str(options.root)] if options.root else []


def _keras(options: argparse.Namespace) -> list[str]:
    return [*_recordings(options), "--keras-python", options.keras_python or sys.executable]


def _desed(options: argparse.Namespace) -> list[str]:
    return ["--desed-task", str(options.desed_task)] if options.desed_task else []


#: Both tasks, for `fused`.
_BOTH = ["--task", "1a", "4"]


def _on_gpu(options: argparse.Namespace) -> list[str]:
    roots = (("--tau", options.root), ("--desed", options.desed_root))
    return [*_desed(options), *(word for name, root in roots if root for word in (name, str(root)))]


PARTS = {
    "features": Part(
        lambda options: [*_recordings(options), "--clips", "400", "--rounds", "5"],
        lambda options: [*_recordings(options), "--clips", "40", "--rounds", "3"],
    ),
    "training": Part(
        lambda options: [*_keras(options), "--accuracy", "60", "--seeds", "3"],
        lambda options: [*_keras(options), "--epochs", "4"],
        _no_keras,
    ),
    "crnn": Part(_desed, lambda options: [*_desed(options), "--clips", "12", "--steps", "2"]),
    "waveforms": Part(lambda options: [], lambda options: ["--rounds", "2"]),
    "events": Part(lambda options: [], lambda options: ["--clips", "100"], _no_scores),
    "validation": Part(lambda options: [], lambda options: ["--clips", "500", "--rounds", "3"]),
    "start": Part(lambda options: [], lambda options: ["--rounds", "2"]),
    "search": Part(lambda options: _recordings(options), lambda options: ["overhead", "idle"]),
    "sweep": Part(_recordings, _recordings),
    "grid": Part(lambda options: [], lambda options: ["--jobs", "10", "100"]),
    "busy": Part(lambda options: [], lambda options: ["--epochs", "2", "--rounds", "1"]),
    "predict": Part(lambda options: ["--minutes", "5"], lambda options: ["--minutes", "1"]),
    "bootstrap": Part(lambda options: [], lambda options: []),
    "status": Part(lambda options: [], lambda options: ["--trials", "200"]),
    "scale": Part(
        lambda options: [],
        lambda options: ["ask", "tell", "suggest", "display", "open", "--trials", "100", "500"],
    ),
    "comparison": Part(lambda options: [], None),
    "fused": Part(lambda options: _BOTH, lambda options: [*_BOTH, "--small"], _has_gpu),
    "gpu": Part(_on_gpu, lambda options: ["--small"], _no_gpu),
}


def main() -> int:
    """Run the parts, print and write their figures; return 1 if a part failed or a ratio has become worse."""
    options = _parser().parse_args()
    earlier = json.loads(options.compare.read_text(encoding="utf-8")) if options.compare else {}
    if earlier and earlier.get("small") != options.small:
        raise SystemExit(f"{options.compare}: its figures are{'' if earlier.get('small') else ' not'} those of --small")
    outcomes = {}
    for name in options.parts or PARTS:
        outcomes[name] = _run(name, PARTS[name], options)
        if options.json is not None:  # after each part, so that an interruption loses none
            options.json.write_text(json.dumps(_describe(outcomes, options), indent=1) + "\n", encoding="utf-8")
    print(f"\n{describe_machine()}; {_commit()}, {datetime.now(UTC).date()}")
    print_table(_rows(outcomes))
    worse = find_losses({name: each.figures for name, each in outcomes.items()}, earlier, options.tolerance)
    for part, figure, before in worse:
        print(f"worse: {part}, {figure.name}: {figure.value:.3g} {figure.unit}, {before:.3g} {figure.unit} before")
    failed = [name for name, each in outcomes.items() if each.failed]
    for name in failed:
        print(f"failed: {name}: {outcomes[name].failed}")
    return 1 if worse or failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks all",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="few clips and trials")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--compare", type=Path, help="the file of an earlier run")
    parser.add_argument(
        "--tolerance", type=float, default=0.25, help="largest accepted loss of a ratio (default: 0.25)"
    )
    parser.add_argument("--root", type=Path, help="a folder in TAU's layout (default: the generated demo set)")
    parser.add_argument("--keras-python", help="the Python of an environment with TensorFlow (default: this one)")
    parser.add_argument("--desed-root", type=Path, help="a folder in DESED's layout, for gpu")
    parser.add_argument("--desed-task", type=Path, help="a checkout of DESED_task")
    return parser


def _run(name: str, part: Part, options: argparse.Namespace) -> Outcome:
    """Run one part in a process of its own."""
    make_words = part.small if options.small else part.words
    obstacle = "not part of --small" if make_words is None else part.find_obstacle(options)
    if make_words is None or obstacle is not None:
        print(f"\n== {name}: skipped, {obstacle}", flush=True)
        return Outcome([], skipped=obstacle)
    words = list(make_words(options))
    print(f"\n== {' '.join(['python -m tests.benchmarks', name, *words])}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.jsonl"
        began = time.perf_counter()
        command = [sys.executable, "-m", f"tests.benchmarks.{name}", *words]
        code = subprocess.run(command, env=os.environ | {VARIABLE: str(path)}, check=False).returncode
        figures = read_recorded(path)
    failed = f"exit code {code}" if code else None if figures else "it has recorded no figure"
    return Outcome(figures, time.perf_counter() - began, failed=failed)


def _rows(outcomes: dict[str, Outcome]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "measured", "aim", "")]
    for name, outcome in outcomes.items():
        for figure in outcome.figures:
            sign = "≥" if figure.better == "larger" else "≤"
            aim = "" if figure.aim is None else f"{sign} {figure.aim:g} {figure.unit}"
            met = "" if figure.is_met is None else "met" if figure.is_met else "missed"
            rows.append((f"{name}: {figure.name}", f"{figure.value:.3g} {figure.unit}", aim, met))
        if outcome.skipped:
            rows.append((f"{name}: skipped, {outcome.skipped}", "", "", ""))
        if outcome.failed:
            rows.append((f"{name}: failed, {outcome.failed}", "", "", ""))
    return rows


def _describe(outcomes: dict[str, Outcome], options: argparse.Namespace) -> dict[str, Any]:
    return {
        "machine": describe_machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "small": options.small,
        "figures": {name: [asdict(figure) for figure in each.figures] for name, each in outcomes.items()},
        "seconds": {name: round(each.seconds, 1) for name, each in outcomes.items()},
        "skipped": {name: each.skipped for name, each in outcomes.items() if each.skipped},
        "failed": {name: each.failed for name, each in outcomes.items() if each.failed},
    }


def _commit() -> str:
    return git_commit(ROOT) or "unknown commit"


if __name__ == "__main__":
    sys.exit(main())
