"""`python -m dcase_sweep evaluate events`: all metrics of sound event detection from tables of detections."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.parser import HelpFormatter
from dcase_sweep.utils.console import announced
from dcase_sweep.utils.errors import UserError, get_reason
from dcase_sweep.utils.files import whole_file, write_text
from dcase_sweep.utils.text_table import terminal_width, wrap

if TYPE_CHECKING:
    from dcase_sweep.evaluation.events import EventEvaluation

_DESCRIPTION = """\
Evaluate detected sound events by the rules of DCASE 2021, task 4: PSDS of both scenarios, collar-based, segment-based
and intersection F1, and sed_eval's error rates, over all classes and for each class.

DETECTIONS is a folder, or one that contains it, with one table of detections per decision threshold, such as
predictions_th_0.05.tsv, with the columns filename, onset, offset, event_label (others are ignored). PSDS uses all
tables. The F1 metrics use the one at --f1-threshold, otherwise a table with that threshold in the parent folder,
otherwise the one at the nearest threshold, with a message; or the table given by --f1-table.

It may also be a folder with one table of scores per clip, as sed_scores_eval writes them: a row for each frame, with
the columns onset, offset and the score of each class, 0 to 1. The scores are not filtered. PSDS is computed from 50
thresholds and from all (exact PSDS). Clips without a table are left out, and the coverage is printed.

Or it is one table of detections, such as that of predict, for the F1 metrics. PSDS then has one threshold.

All metrics are computed from the same tables, so these must be valid for psds_eval (PSDS, intersection F1) and for
sed_eval (collar and segment F1, error rates). Errors are: offsets before their onset, overlapping events of one class
(psds_eval 0.5), and rows that the two packages count differently: events without a length, repeated events, onsets
before 0 s, clips and classes that are not in the reference, and reference events that end more than 0.2 s after their
clip. Detections may end after their clip. With --labels a class may be absent from the reference: PSDS and intersection
F1 then ignore its detections, as psds_eval does, and the micro averages count them, as sed_eval does."""

_EPILOG = """\
examples:
  python -m dcase_sweep evaluate events detections/ validation.tsv validation_durations.tsv
  python -m dcase_sweep evaluate events detections/ validation.tsv validation_durations.tsv \\
      --cross-trigger-average others --json scores.json --figure roc.png"""


def main(arguments: list[str]) -> int:
    """Evaluate, print the table and write files as requested; return 0.

    Raises:
        UserError: if the tables cannot be read or are wrong; a DataError names every wrong row.
    """
    options = _parser().parse_args(arguments)
    with announced("evaluate", f"the detections in {options.detections}"):
        evaluation = _evaluate(options)

    from dcase_sweep.evaluation.events import format_text, to_csv, to_json

    print(format_text(evaluation, terminal_width()))
    if evaluation.f1_threshold != options.f1_threshold:
        nearest = (
            f"F1 at threshold {evaluation.f1_threshold:g}, the nearest to {options.f1_threshold:g} that there is a "
            "table of; give the detections at it with --f1-table"
        )
        print("\n" + wrap(nearest, terminal_width()))
    if options.json:
        _write(options.json, json.dumps(to_json(evaluation), indent=2) + "\n")
    if options.csv:
        _write(options.csv, to_csv(evaluation))
    if options.figure:
        _save_figures(evaluation, options.figure)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dcase_sweep evaluate events",
        usage="python -m dcase_sweep evaluate events DETECTIONS GROUND_TRUTH_TSV\n"
        "                                             DURATIONS_TSV [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "detections",
        metavar="DETECTIONS",
        type=Path,
        help="a folder with one table per threshold, or with one table of scores per clip; or one table",
    )
    parser.add_argument(
        "ground_truth",
        metavar="GROUND_TRUTH_TSV",
        type=Path,
        help="reference events: filename, onset, offset, event_label; a file name alone is a clip without events",
    )
    parser.add_argument(
        "durations", metavar="DURATIONS_TSV", type=Path, help="every clip of the set: filename, duration (s)"
    )
    parser.add_argument(
        "--labels",
        metavar="A,B,...",
        help="the classes, if not those of the ground truth (a class may be absent from the reference)",
    )
    parser.add_argument(
        "--cross-trigger-average",
        choices=("others", "all"),
        metavar="all|others",
        default="all",
        help="average a class's cross-triggers over all N classes (psds_eval 0.3, under which the figures of 2021 were "
        "published; the default) or over the N-1 other ones (psds_eval 0.5); scenario 2 is given by the other rule too",
    )
    parser.add_argument(
        "--f1-threshold",
        metavar="T",
        type=_threshold,
        default=0.5,
        help="threshold of the F1 metrics (default: %(default)s)",
    )
    parser.add_argument("--f1-table", metavar="TABLE", type=Path, help="the detections for the F1 metrics")
    parser.add_argument(
        "--merge-overlaps",
        action="store_true",
        help="merge overlapping reference events of a class and print how many; without it they are an error",
    )
    parser.add_argument(
        "--reference",
        action="store_true",
        help="also compute the metrics with psds_eval and sed_eval (extra reference) and show the differences; takes "
        "about a minute on a whole set",
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="write all values as JSON")
    parser.add_argument("--csv", metavar="OUT", type=Path, help="write all values as CSV, one per line")
    parser.add_argument(
        "--figure", metavar="OUT.png", type=Path, help="draw the PSD-ROC, and F1 per class in OUT_f1.png"
    )
    return parser


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:  # negated, so that NaN is rejected too
        raise UserError(f"--f1-threshold {text}: expected a number from 0 to 1")
    return value


def _evaluate(options: argparse.Namespace) -> "EventEvaluation":
    from dcase_sweep.evaluation.events.files import evaluate_files

    return evaluate_files(
        options.detections,
        options.ground_truth,
        options.durations,
        labels=None if options.labels is None else options.labels.split(","),
        f1_threshold=options.f1_threshold,
        f1_table=options.f1_table,
        cross_trigger_average=options.cross_trigger_average,
        merge_overlaps=options.merge_overlaps,
        reference=options.reference,
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name a file in a writable folder") from None


def _save_figures(evaluation: "EventEvaluation", path: Path) -> None:
    from dcase_sweep.evaluation.events.figures import class_f1_figure, psd_roc_figure
    from dcase_sweep.evaluation.figures import quiet_drawing

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path if path.suffix else path.with_suffix(".png")
        with quiet_drawing():
            with whole_file(path) as temporary:
                psd_roc_figure(evaluation).savefig(temporary, dpi=120)
            with whole_file(path.with_stem(f"{path.stem}_f1")) as temporary:
                class_f1_figure(evaluation).savefig(temporary, dpi=120)
    except Exception as error:
        raise UserError(
            f"{path}: the figure cannot be written ({get_reason(error)}); name a .png, .pdf or .svg file"
        ) from None
