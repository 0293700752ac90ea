"""`python -m dcase_sweep evaluate events`: every figure of sound event detection from tables of detections."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.files import whole_file, write_text
from dcase_sweep.utils.lookalikes import find_lookalikes, strip_blanks

if TYPE_CHECKING:
    from dcase_sweep.evaluation.events import EventEvaluation

_DESCRIPTION = """\
Judge detected sound events by the rules of DCASE 2021, task 4: PSDS of both scenarios, collar-based, segment-based and
intersection F1, and sed_eval's error rates, over all classes and of each.

DETECTIONS_FOLDER holds, itself or in one folder of its own, one table of detections per decision threshold, such as
predictions_th_0.05.tsv, with the columns filename, onset, offset, event_label (others are ignored). PSDS takes all of
them. The F1 figures take the one at the threshold of --f1-threshold, else a table with that threshold in the folder
above, else the one at the nearest threshold, which is then said; or that of --f1-table.

One table gives all figures, so it must be right for psds_eval (PSDS, intersection F1) and for sed_eval (collar and
segment F1, error rates). What one of them refuses is refused: an offset before its onset, overlapping events of one
class (psds_eval 0.5). So is what they count differently: events without a length, repeated events, onsets before 0 s,
clips and classes that the reference does not have, and reference events that end more than 0.2 s after their clip.
Detections may end after their clip. With --labels a class may be absent from the reference: PSDS and intersection F1
then leave its detections out, as psds_eval does, and the micro averages count them, as sed_eval does."""

#: How far from the wanted threshold the F1 figures may be judged where no table has it.
_NEAR = 0.05

_EPILOG = """\
examples:
  python -m dcase_sweep evaluate events detections/ validation.tsv validation_durations.tsv
  python -m dcase_sweep evaluate events detections/ validation.tsv validation_durations.tsv \\
      --cross-trigger-average others --json scores.json --figure roc.png"""


def main(arguments: list[str]) -> int:
    """Evaluate, print the table and write the files that are asked for; 0 on success.

    Raises:
        UserError: the tables cannot be read or are wrong; a DataError names every wrong row.
    """
    options = _parser().parse_args(arguments)
    evaluation = _evaluate(options)

    from dcase_sweep.evaluation.events import format_text, to_csv, to_json

    print(format_text(evaluation))
    if evaluation.f1_threshold != options.f1_threshold:
        print(
            f"\nF1 at threshold {evaluation.f1_threshold:g}, the nearest to {options.f1_threshold:g} that there is a "
            "table of; give the detections at it with --f1-table"
        )
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
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("detections", metavar="DETECTIONS_FOLDER", type=Path, help="one table per threshold")
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
        default="all",
        help="average a class's cross-triggers over all N classes (psds_eval 0.3, under which the figures of 2021 were "
        "published; the default) or over the N-1 other ones (psds_eval 0.5); scenario 2 is given by the other rule too",
    )
    parser.add_argument(
        "--f1-threshold",
        metavar="T",
        type=_threshold,
        default=0.5,
        help="threshold of the F1 figures (default: %(default)s)",
    )
    parser.add_argument("--f1-table", metavar="TABLE", type=Path, help="the detections that the F1 figures judge")
    parser.add_argument(
        "--merge-overlaps",
        action="store_true",
        help="merge overlapping reference events of one class into one, and say how many; without it they are refused",
    )
    parser.add_argument(
        "--reference",
        action="store_true",
        help="let psds_eval and sed_eval compute their figures too, and show the differences; takes about a minute "
        "on a whole set, and the extra reference installs them",
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="write all figures as JSON")
    parser.add_argument("--csv", metavar="OUT", type=Path, help="write all figures as CSV, one a line")
    parser.add_argument(
        "--figure", metavar="OUT.png", type=Path, help="draw the PSD-ROC; F1 per class goes to OUT_f1.png beside it"
    )
    return parser


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:  # written so that NaN is refused too
        raise UserError(f"--f1-threshold {text}: expected a number from 0 to 1")
    return value


def _evaluate(options: argparse.Namespace) -> "EventEvaluation":
    from dcase_sweep.evaluation.events import (
        evaluate_detections,
        find_threshold_tables,
        read_detections,
        read_ground_truth,
    )

    if not 0 <= options.f1_threshold <= 1:  # NaN included
        raise UserError(f"--f1-threshold {options.f1_threshold}: expected a number from 0 to 1")
    if options.reference:
        from dcase_sweep.evaluation.events.reference import check_reference

        check_reference("--reference")
    labels = _labels(options.labels) if options.labels is not None else None
    options.detections = _threshold_folder(options.detections)
    tables = find_threshold_tables(options.detections)
    f1_threshold, f1_table = _find_f1_table(options, tables)
    try:
        truth = read_ground_truth(
            options.ground_truth, options.durations, labels=labels, merge_overlaps=options.merge_overlaps
        )
    except DataError as error:
        remedy = "merge them into one"
        raise DataError(
            [f"{line}, or add --merge-overlaps" if line.endswith(remedy) else line for line in error.problems]
        ) from None
    return evaluate_detections(
        read_detections(tables, clips=truth.clips, labels=truth.labels),
        read_detections({f1_threshold: f1_table}, clips=truth.clips, labels=truth.labels),
        truth,
        cross_trigger_average=options.cross_trigger_average,
        reference=options.reference,
    )


def _labels(text: str) -> list[str]:
    """The classes that --labels names."""
    labels = [strip_blanks(label) for label in text.split(",")]
    if "" in labels:
        raise UserError(f"--labels '{text}': one of the classes is blank; expected names with commas between")
    if len(set(labels)) != len(labels):
        raise UserError(f"--labels '{text}': a class is named twice; expected each once")
    if pairs := find_lookalikes(labels):
        raise UserError(f"--labels: {pairs[0]}; expected one spelling")
    return labels


def _threshold_folder(folder: Path) -> Path:
    """The folder itself, or the one folder in it that holds the thresholds, as published systems are laid out.

    PSDS of the single table that lies beside such a folder would be far below the system's.
    """
    if not folder.is_dir():
        return folder
    tables = {path: sum(1 for _ in path.glob("*.[tc]sv")) for path in (folder, *folder.iterdir()) if path.is_dir()}
    fullest = max(tables, key=lambda path: tables[path])
    return fullest if tables[folder] < 2 else folder


def _find_f1_table(options: argparse.Namespace, tables: dict[float, Path]) -> tuple[float, Path]:
    """The table of the F1 figures and its threshold."""
    from dcase_sweep.evaluation.events.detections import get_threshold

    if options.f1_table:
        return options.f1_threshold, options.f1_table
    if options.f1_threshold in tables:
        return options.f1_threshold, tables[options.f1_threshold]
    for path in sorted(options.detections.resolve().parent.iterdir()):
        if path.suffix in (".tsv", ".csv"):
            try:
                if get_threshold(path) == options.f1_threshold:
                    return options.f1_threshold, path
            except UserError:
                continue
    nearest = min(tables, key=lambda threshold: (abs(threshold - options.f1_threshold), threshold))
    if abs(nearest - options.f1_threshold) > _NEAR:
        raise UserError(
            f"{options.detections}: no table near threshold {options.f1_threshold:g}, which the F1 figures judge; give "
            f"it with --f1-table, or judge another threshold, such as {nearest:g}, with --f1-threshold"
        )
    return nearest, tables[nearest]


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that can be") from None


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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: the figure cannot be written ({reason}); name a .png, .pdf or .svg file") from None
