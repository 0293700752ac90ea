"""Evaluation of files of any system: tables of detections at one or many thresholds, or a table of scores per clip."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dcase_sweep.evaluation.events.detections import (
    LARGEST_DISTANCE,
    find_nearest,
    find_threshold_tables,
    get_threshold,
    read_detections,
)
from dcase_sweep.evaluation.events.evaluation import Coverage, EventEvaluation, evaluate_detections, evaluate_filtered
from dcase_sweep.evaluation.events.ground_truth import GroundTruth, read_ground_truth
from dcase_sweep.evaluation.events.psds import PUBLISHED_AVERAGE, CrossTriggerAverage
from dcase_sweep.evaluation.events.reference import check_reference
from dcase_sweep.evaluation.events.score_tables import holds_scores, read_score_tables
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.lookalikes import find_lookalikes, strip_blanks

#: The end of a message about overlapping events.
_MERGE = "merge them into one"


def evaluate_files(
    detections: Path,
    ground_truth: Path,
    durations: Path,
    *,
    labels: Sequence[str] | None = None,
    f1_threshold: float = 0.5,
    f1_table: Path | None = None,
    cross_trigger_average: CrossTriggerAverage = PUBLISHED_AVERAGE,
    merge_overlaps: bool = False,
    reference: bool = False,
) -> EventEvaluation:
    """Compute all metrics from tables; messages name the options of ``evaluate events``.

    Args:
        detections: a folder with a table of detections for each threshold, or one that contains it; a folder with a
            table of scores for each clip; or one table of detections.
        ground_truth: a table with the columns filename, onset, offset (s) and event_label.
        durations: a table with the columns filename and duration (s), with all clips of the set.
        labels: the classes; None = those of the ground truth, or those of the tables of scores.
        f1_threshold: threshold of F1. Without a table of it in the folder, one in the parent folder is used, otherwise
            the nearest one.
        f1_table: the detections for F1; not for scores.
        cross_trigger_average: the rule for PSDS.
        merge_overlaps: merge overlapping reference events of the same class instead of raising an error.
        reference: also compute the metrics with psds_eval and sed_eval.

    Raises:
        UserError: if the tables cannot be read or are wrong; a DataError names every wrong row.
    """
    if reference:
        check_reference("--reference")
    classes = None if labels is None else check_labels(labels)
    folder = _find_tables(detections)
    if holds_scores(folder):
        if f1_table is not None:
            raise UserError(f"--f1-table {f1_table}: F1 is computed from the scores; leave it out")
        truth = read_truth(ground_truth, durations, labels=classes, merge_overlaps=merge_overlaps)
        scores, scored = read_score_tables(folder, truth, labels=classes)
        return evaluate_filtered(
            scores,
            scored,
            coverage=Coverage(len(scored.clips), len(truth.clips)),
            f1_threshold=f1_threshold,
            cross_trigger_average=cross_trigger_average,
            reference=reference,
        )
    tables = {f1_threshold: folder} if folder.is_file() else find_threshold_tables(folder)
    threshold, table = (f1_threshold, f1_table) if f1_table else _find_f1_table(folder, tables, f1_threshold)
    truth = read_truth(ground_truth, durations, labels=classes, merge_overlaps=merge_overlaps)
    longest = float(truth.durations.max())
    return evaluate_detections(
        read_detections(tables, clips=truth.clips, labels=truth.labels, longest=longest),
        read_detections({threshold: table}, clips=truth.clips, labels=truth.labels, longest=longest),
        truth,
        cross_trigger_average=cross_trigger_average,
        reference=reference,
    )


def read_truth(
    ground_truth: Path, durations: Path, *, labels: Sequence[str] | None, merge_overlaps: bool
) -> GroundTruth:
    """Read the ground truth; messages about overlapping events name the option that merges them.

    Raises:
        UserError: as `read_ground_truth`.
    """
    try:
        return read_ground_truth(ground_truth, durations, labels=labels, merge_overlaps=merge_overlaps)
    except DataError as error:
        raise DataError(
            [f"{line}, or add --merge-overlaps" if line.endswith(_MERGE) else line for line in error.problems]
        ) from None


def check_labels(labels: Sequence[str]) -> list[str]:
    """Return the names of the classes without blanks around them.

    Raises:
        UserError: for a name that is blank, repeated, or looks like another one.
    """
    names = [strip_blanks(label) for label in labels]
    if not names or "" in names:
        raise UserError(f"--labels {','.join(names)}: one of the classes is blank; expected a name for each")
    if len(set(names)) != len(names):
        raise UserError(f"--labels {','.join(names)}: a class is named twice; expected each once")
    if pairs := find_lookalikes(names):
        raise UserError(f"--labels: {pairs[0]}; expected one spelling")
    return names


def _find_tables(folder: Path) -> Path:
    """Return the folder itself, or the single folder in it with the tables, which is the layout of published systems.

    PSDS of the single table next to such a folder would be far lower than the system's.

    Raises:
        UserError: if several folders in it contain tables.
    """
    if not folder.is_dir():
        return folder
    tables = {path: sum(1 for _ in path.glob("*.[tc]sv")) for path in (folder, *folder.iterdir()) if path.is_dir()}
    if tables[folder] > 1:
        return folder
    several = sorted(path.name for path, count in tables.items() if count > 1)
    if len(several) > 1:
        raise UserError(f"{folder}: several folders of tables, {', '.join(several)}; expected one of them")
    return max(tables, key=lambda path: tables[path])


def _find_f1_table(folder: Path, tables: Mapping[float, Path], threshold: float) -> tuple[float, Path]:
    """Return the threshold of F1 and its table: of the tables, of the parent folder, or the nearest one."""
    if threshold in tables:
        return threshold, tables[threshold]
    for path in sorted(folder.resolve().parent.iterdir()):
        if path.suffix in (".tsv", ".csv"):
            try:
                if get_threshold(path) == threshold:
                    return threshold, path
            except UserError:
                continue
    nearest = find_nearest(tables, threshold)
    if abs(nearest - threshold) > LARGEST_DISTANCE:
        raise UserError(
            f"{folder}: no table near threshold {threshold:g} for the F1 metrics; give it with --f1-table, or use "
            f"another threshold, such as {nearest:g}, with --f1-threshold"
        )
    return nearest, tables[nearest]
