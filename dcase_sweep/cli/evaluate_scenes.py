"""`python -m dcase_sweep evaluate scenes`: accuracy and log loss of a file of scores."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.parser import HelpFormatter
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError, get_reason
from dcase_sweep.utils.files import whole_file, write_text
from dcase_sweep.utils.lookalikes import strip_blanks
from dcase_sweep.utils.text_table import terminal_width, wrap

if TYPE_CHECKING:
    import numpy as np

    from dcase_sweep.evaluation.scenes.files import SceneReference, SceneScores
    from dcase_sweep.evaluation.scenes.metrics import SceneReport

PROG = "python -m dcase_sweep evaluate scenes"

DESCRIPTION = """\
Accuracy and log loss of scene classification by scene and device, in the layout of the DCASE 2021 task 1A table.
Overall figures and those of a device are macro averages over scenes; log loss is in nats."""

EPILOG = f"""\
SCORES is one of
  - numbers separated by blanks: a line per clip in the order of REFERENCE_CSV, a column per scene in alphabetical
    order (labels that are whole numbers by value);
  - a table in the DCASE submission format (tabs or commas), rows in any order: filename, a column per scene, optionally
    scene_label.
Rows that do not sum to one are divided by their sum before anything is computed. Older versions of scikit-learn's
log_loss (before 1.2, as in the official baseline) clip such scores to [0, 1] before dividing, and a score of 0 to
1e-15 instead of 2.2e-16; where they differ, that log loss is printed too.
A column without a name, such as the index of a data frame, is ignored; any other column that is not a scene is an
error.

example:
  {PROG} scores.txt evaluation_setup/fold1_evaluate.csv --json result.json --figure confusion.png"""


def main(arguments: list[str]) -> int:
    """Print the table, write files as requested and return 0; raise UserError for unusable input."""
    options = _parser().parse_args(arguments)
    for path in (options.json, options.csv, options.figure):
        if path is not None and not path.parent.is_dir():
            raise UserError(f"{path}: the folder {path.parent} does not exist; create it first")
        if path is not None and path.is_dir():
            raise UserError(f"{path}: is a folder; name a file to write")
    _check_figure_format(options.figure)

    from dcase_sweep.evaluation.scenes.files import read_reference, read_scores
    from dcase_sweep.evaluation.scenes.metrics import (
        CLIPPED_TO,
        as_probabilities,
        evaluate_scenes,
        log_loss_clipped_first,
    )
    from dcase_sweep.evaluation.scenes.report import headline, scene_table

    reference = read_reference(options.reference)
    scores = read_scores(options.scores, reference, classes=options.classes)
    truth = reference.truth(scores.classes)
    try:
        probabilities = as_probabilities(scores.values, rows=scores.rows)
    except ValueError as error:
        raise UserError(str(error)) from error
    report = evaluate_scenes(probabilities, truth, classes=scores.classes, devices=reference.devices)

    file = str(options.csv or "the file of --csv")
    width = terminal_width()
    print(scene_table(report, note=options.note, width=width, file=file))
    print()
    print(wrap(headline(report), width))
    is_divided = _is_divided(scores)
    impossible = int((probabilities[range(len(truth)), truth] < CLIPPED_TO).sum())
    clipped = log_loss_clipped_first(scores.values, truth) if is_divided or impossible else None
    notes = [*_notes(scores, reference), *_notes_on_decisions(scores, probabilities, truth)]
    if clipped is not None:
        notes += _notes_on_loss(scores, impossible, clipped)
    for note in notes:
        print(wrap(f"note: {note}", width))
    _write(report, options, {"rows_divided_by_sum": is_divided, "log_loss_clipped_first": clipped})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scores", metavar="SCORES", type=Path, help="score file")
    parser.add_argument(
        "reference", metavar="REFERENCE_CSV", type=Path, help="table with filename, scene_label, perhaps source_label"
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="write every figure as JSON")
    parser.add_argument("--csv", metavar="OUT", type=Path, help="write the table as CSV")
    parser.add_argument(
        "--figure",
        metavar="OUT.png",
        type=Path,
        help="draw the confusion matrix; the accuracy by device is drawn in OUT-devices.png",
    )
    parser.add_argument(
        "--classes",
        metavar="A,B,...",
        type=lambda text: tuple(strip_blanks(name) for name in text.split(",")),
        help="scenes in the order of the columns, if not those of REFERENCE_CSV in alphabetical order",
    )
    parser.add_argument("--note", metavar="TEXT", help="text for the title line of the table")
    return parser


def _check_figure_format(path: Path | None) -> None:
    if path is not None and path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UserError(f"{path}: cannot draw '{path.suffix}' files; name one that ends in .png, .pdf or .svg")


def _is_divided(scores: "SceneScores") -> bool:
    """Whether any row does not sum to one, within the precision of the tables."""
    return bool((abs(scores.values.sum(axis=1) - 1) > 1e-3).any())


def _notes(scores: "SceneScores", reference: "SceneReference") -> list[str]:
    """Describe what was ignored, and a reference that has no devices or a single scene."""
    from dcase_sweep.evaluation.scenes.metrics import DEVICES

    notes = []
    if scores.ignored:
        names = ", ".join(f"'{name}'" for name in scores.ignored)
        notes.append(f"column {names} has no name, such as the index of a data frame; it is no scene and was ignored")
    if reference.odd_name is not None:
        notes.append(f"no results by device: the name {reference.odd_name} does not end in one of {', '.join(DEVICES)}")
    if len(reference.classes) == 1:
        alone = ", so that every clip is right" if len(scores.classes) == 1 else ""
        notes.append(f"{reference.path} has only one scene, {reference.classes[0]}{alone}")
    return notes


def _notes_on_decisions(scores: "SceneScores", probabilities: "np.ndarray", truth: "np.ndarray") -> list[str]:
    """Describe rows with equal scores, and those in which the file's own label is not the one that was counted."""
    import numpy as np

    from dcase_sweep.evaluation.scenes.metrics import average_over_scenes

    notes = []
    highest = probabilities.max(axis=1)
    tied = int(((probabilities == highest[:, None]).sum(axis=1) > 1).sum())
    if tied:
        notes.append(f"in {pluralize(tied, 'row')} several scores are the highest: the first of them was counted")
    if scores.scene_labels is None:
        return notes
    named = np.array([scores.classes.index(label) for label in scores.scene_labels])
    if (named != probabilities.argmax(axis=1)).any():
        lower = int((probabilities[range(len(named)), named] < highest).sum())
        rows = f"in {pluralize(lower, 'row')} scene_label is not the highest score: the highest score was counted"
        accuracy = average_over_scenes(named == truth, truth, len(scores.classes))
        official = f"by scene_label, as the official evaluation counts, accuracy is {accuracy:.4f}"
        notes.append(f"{rows}; {official}" if lower else official)
    return notes


def _notes_on_loss(scores: "SceneScores", impossible: int, clipped: float) -> list[str]:
    """Describe rows that do not sum to one, and scores of 0, for which versions of scikit-learn differ.

    Args:
        scores: the scores of the file.
        impossible: number of clips with a probability of 0 for their scene.
        clipped: log loss of the older versions.
    """
    notes = []
    if _is_divided(scores):
        sums = scores.values.sum(axis=1)
        low, high = float(sums.min()), float(sums.max())
        is_constant = high - low < 1e-3 * high
        total = f"{low:.4g}" if is_constant else f"between {low:.4g} and {high:.4g}"
        logits = (
            "" if is_constant or scores.values.max() <= 1 else ", so they are not probabilities (logits need softmax)"
        )
        notes.append(
            f"rows sum to {total}{logits}: divided by their sum; clipped to [0, 1] first, as older versions of "
            f"scikit-learn do, log loss is {clipped:.4f}"
        )
    if impossible:
        clips = f"{impossible:,} {'clip has' if impossible == 1 else 'clips have'} a score of 0 for the true scene"
        older = "" if _is_divided(scores) else f", with which log loss is {clipped:.4f}"
        notes.append(f"{clips}, a loss of 36.04, or 34.54 in older versions of scikit-learn{older}")
    return notes


def _write(report: "SceneReport", options: argparse.Namespace, further: dict[str, object]) -> None:
    from dcase_sweep.evaluation.scenes.report import to_csv, to_json

    written: list[Path] = []
    if options.json is not None:
        write_text(options.json, json.dumps(to_json(report) | further, indent=2, allow_nan=False) + "\n")
        written.append(options.json)
    if options.csv is not None:
        write_text(options.csv, to_csv(report))
        written.append(options.csv)
    if options.figure is not None:
        written += _draw(report, options.figure)
    for path in written:
        print(f"wrote {path}")


def _draw(report: "SceneReport", path: Path) -> list[Path]:
    from dcase_sweep.evaluation.figures import quiet_drawing
    from dcase_sweep.evaluation.scenes.figures import confusion_figure, device_accuracy_figure

    path = path if path.suffix else path.with_suffix(".png")
    beside = path.with_name(f"{path.stem}-devices{path.suffix}")
    try:
        with quiet_drawing():
            with whole_file(path) as temporary:
                confusion_figure(report).savefig(temporary)
            if report.devices:
                with whole_file(beside) as temporary:
                    device_accuracy_figure(report).savefig(temporary)
    except Exception as error:
        reason = get_reason(error)
        raise UserError(f"{path}: the figure cannot be drawn ({reason}); the other results are above") from None
    return [path, beside] if report.devices else [path]
