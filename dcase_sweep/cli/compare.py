"""``compare``: comparison of the runs of one or several sweeps, grouped over seeds."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.parser import OneLineParser
from dcase_sweep.cli.stores import open_existing_store
from dcase_sweep.utils.console import announced, pluralize
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    from dcase_sweep.evaluation.comparison.differences import Comparison
    from dcase_sweep.evaluation.comparison.systems import System

_EPILOG = """\
FILTER: KEY=VALUE[,VALUE] of a parameter (model=cnn4,cnn5, task=4, data.name=...),
or the first letters of the id of a run or of a sweep; several ids select all of
theirs. tracking.uri=... and tracking.folder=... say where the runs are.

Runs that differ in their seed alone are one row: mean ± standard deviation. The
folds of a cross-validation are one run. Each row is compared with the best of its
task and metric rule, in accuracy and log loss, or in PSDS 1, PSDS 2 and F1: by a
paired bootstrap over the test clips (would it differ on other clips?) and by an
exact sign-flip test over common seeds (would it differ with other seeds?).

examples:
  python -m dcase_sweep compare
  python -m dcase_sweep compare model=cnn4,cnn5 --out comparison
  python -m dcase_sweep compare 1e8c8d2a tracking.uri=http://127.0.0.1:5000"""


def main(arguments: list[str]) -> int:
    """Print the comparison and, with ``--out``, write it to files; return 0.

    Raises:
        UserError: for a filter that selects nothing, or a missing store.
    """
    parser = OneLineParser(
        prog="python -m dcase_sweep compare",
        usage="python -m dcase_sweep compare [FILTER ...] [--out FOLDER] [--resamples N]",
        description="Compare finished runs, grouped over seeds, and test whether they differ.",
        epilog=_EPILOG,
    )
    parser.add_argument("filters", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", metavar="FOLDER", help="also write comparison.html, .txt, .csv, .md, .tex and differences.csv there"
    )
    parser.add_argument("--resamples", metavar="N", default="1000", help="of the test clips (default: 1000)")
    options = parser.parse_intermixed_args(arguments)
    if not options.resamples.isdecimal() or not 100 <= int(options.resamples) <= 100_000:
        raise UserError(f"--resamples {options.resamples}: expected a whole number from 100 to 100000")
    settings, filters = _split(options.filters)
    if options.out is not None and Path(options.out).exists() and not Path(options.out).is_dir():
        raise UserError(f"--out {options.out}: is a file; expected a folder")

    store = open_existing_store(settings)
    from dcase_sweep.evaluation.comparison.differences import compare_with_best
    from dcase_sweep.evaluation.comparison.systems import group_runs
    from dcase_sweep.evaluation.comparison.tables import to_text
    from dcase_sweep.tracking.compared import read_compared_runs

    with announced("compare", f"reading the runs of {store.uri}"):
        runs = read_compared_runs(store, filters, curves=options.out is not None)
    if not runs:
        raise UserError(f"{store.uri}: no finished run to compare; expected at least one")
    systems = group_runs(runs)
    resamples = int(options.resamples)
    with announced("compare", f"{pluralize(len(systems), 'system')} on {resamples:,} resamples of the test clips"):
        comparisons = compare_with_best(systems, resamples=resamples)
    print(to_text(systems, comparisons, shutil.get_terminal_size().columns))
    if options.out is not None:
        _write(Path(options.out), systems, comparisons)
    return 0


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Separate the keys of the location of the runs from the filters."""
    settings, filters = {}, []
    for word in words:
        key, _, value = word.partition("=")
        if key in ("tracking.uri", "tracking.folder") and value:
            settings[key.removeprefix("tracking.")] = value
        else:
            filters.append(word)
    return settings, filters


def _write(folder: Path, systems: "Sequence[System]", comparisons: "Sequence[Comparison]") -> None:
    from dcase_sweep.evaluation.comparison.documents import differences_to_csv, to_csv, to_latex, to_markdown
    from dcase_sweep.evaluation.comparison.page import to_html
    from dcase_sweep.evaluation.comparison.tables import to_text
    from dcase_sweep.utils.files import write_text

    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "comparison.txt": to_text(systems, comparisons, 200) + "\n",
        "comparison.csv": to_csv(systems),
        "differences.csv": differences_to_csv(comparisons),
        "comparison.md": to_markdown(systems, comparisons),
        "comparison.tex": to_latex(systems, comparisons),
        "comparison.html": to_html(systems, comparisons),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    print(f"\nwritten   {folder}/comparison.html, .txt, .csv, .md, .tex, differences.csv", file=sys.stdout)
