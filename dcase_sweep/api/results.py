"""A table of logged runs, and the evaluation of scores from any source."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from dcase_sweep.evaluation.events import CrossTriggerAverage, EventEvaluation
    from dcase_sweep.evaluation.scenes.metrics import SceneReport


def runs(
    filter: str = "", *, tracking_uri: str | None = None, folder: str | Path = "mlruns", limit: int = 1000
) -> "pd.DataFrame":
    """Return the newest runs, one per row, with ``run_id``, ``name``, ``status``, ``metrics.*``, ``params.*`` and more.

    Args:
        filter: a filter in MLflow's syntax: ``"metrics.`test/accuracy` > 0.4 and params.model = 'cnn5'"``.
        tracking_uri: URI of the MLflow store; None = MLFLOW_TRACKING_URI if set, otherwise the store in ``folder``.
        folder: folder of a local store.
        limit: maximum number of runs.

    Raises:
        UserError: if there is no store, or the filter is invalid.
    """
    from dcase_sweep import tracking
    from dcase_sweep.config import Tracking

    if limit < 1:
        raise UserError(f"limit={limit}: expected at least 1")
    where = Tracking(uri=tracking_uri, folder=str(folder))
    if not tracking.is_there(where):
        raise UserError(
            f"{tracking.resolve_uri(where)}: no store of runs there; expected folder= or tracking_uri= of one"
        )
    return tracking.runs_frame(tracking.open_store(where, experiment=False), filter, limit)


def evaluate_scenes(
    scores: str | Path | ArrayLike,
    reference: str | Path | Sequence[str],
    *,
    classes: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
) -> "SceneReport":
    """Compute accuracy and log loss of scene classification, overall, by scene and by device (DCASE 2021 task 1A).

    Args:
        scores: scores ``[clip, class]``, which are divided by their sum over the classes, or a file of scores in the
            format of ``python -m dcase_sweep evaluate scenes``.
        reference: the scene label of each clip, or a table with the columns filename, scene_label and, optionally,
            source_label.
        classes: scene labels in the order of the columns; None = those of the reference in alphabetical order.
        devices: the device of each clip; None = the column source_label of the table, if there is one.

    Raises:
        UserError: for invalid scores or labels.
    """
    from dcase_sweep.evaluation.scenes.files import read_reference, read_scores
    from dcase_sweep.evaluation.scenes.metrics import as_probabilities
    from dcase_sweep.evaluation.scenes.metrics import evaluate_scenes as evaluate

    table = read_reference(reference) if isinstance(reference, str | Path) else None
    labels: Sequence[str] = table.scene_labels if table is not None else list(reference)  # type: ignore[arg-type]
    if isinstance(scores, str | Path):
        if table is None:
            raise UserError(f"reference: labels without file names; expected the table of the clips in {scores}")
        found = read_scores(Path(scores), table, classes=None if classes is None else tuple(classes))
        columns, values, rows = found.classes, found.values, found.rows
    else:
        columns = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
        values, rows = np.asarray(scores, dtype=np.float64), None
    try:
        probabilities = as_probabilities(values, rows=rows)
        return evaluate(
            probabilities,
            _find_labels(labels, columns),
            classes=columns,
            devices=devices if devices is not None else table.devices if table is not None else None,
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def _find_labels(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the class index of each clip ``[clip]``."""
    position = {name: index for index, name in enumerate(classes)}
    unknown = next((label for label in labels if label not in position), None)
    if unknown is not None:
        raise UserError(f"reference: unknown scene {unknown!r}; expected one of {', '.join(classes)}")
    return np.array([position[label] for label in labels], dtype=np.intp)


def evaluate_events(
    scores: Mapping[str, NDArray[np.floating[Any]]] | str | Path,
    ground_truth: str | Path,
    durations: str | Path,
    *,
    hop: float | None = None,
    labels: Sequence[str] | None = None,
    median_length: int | Mapping[str, int] = 7,
    f1_threshold: float = 0.5,
    cross_trigger_average: "CrossTriggerAverage" = "all",
    merge_overlaps: bool = False,
) -> "EventEvaluation":
    """Compute PSDS and collar-based, segment-based and intersection-based F1 (DCASE 2021 task 4).

    Args:
        scores: file name → probabilities ``[frame, class]``, or a folder with one table of detections for each
            threshold, in the format of ``python -m dcase_sweep evaluate events``.
        ground_truth: a table with the columns filename, onset, offset (s) and event_label.
        durations: a table with the columns filename and duration (s), with all clips of the set.
        hop: time between frames in s; required for probabilities.
        labels: event labels in the order of the columns; None = those of the ground truth in alphabetical order.
        median_length: length of the median filter in frames; one number, or one for each class.
        f1_threshold: threshold of the F1 scores; for a folder, the nearest table is used.
        cross_trigger_average: ``all`` (psds_eval 0.3, as in published results) or ``others`` (psds_eval 0.5).
        merge_overlaps: merge overlapping reference events of the same class instead of raising an error.

    Raises:
        UserError: for invalid tables or scores, with one line for each problem.
    """
    from dcase_sweep.evaluation import events
    from dcase_sweep.evaluation.events.detections import LARGEST_DISTANCE, find_nearest

    if not 0 <= f1_threshold <= 1:
        raise UserError(f"f1_threshold={f1_threshold}: expected a number from 0 to 1")
    truth = events.read_ground_truth(
        Path(ground_truth),
        Path(durations),
        labels=None if labels is None else list(labels),
        merge_overlaps=merge_overlaps,
    )
    if isinstance(scores, str | Path):
        tables = events.find_threshold_tables(Path(scores))
        nearest = find_nearest(tables, f1_threshold)
        if abs(nearest - f1_threshold) > LARGEST_DISTANCE:
            raise UserError(f"f1_threshold={f1_threshold:g}: no table near it in {scores}; the nearest is {nearest:g}")
        read = partial(
            events.read_detections, clips=truth.clips, labels=truth.labels, longest=float(truth.durations.max())
        )
        return events.evaluate_detections(
            read(tables),
            read({nearest: tables[nearest]}),
            truth,
            cross_trigger_average=cross_trigger_average,
        )
    if hop is None:
        raise UserError("hop: not given; expected the time between the frames of the scores, s")
    try:
        return events.evaluate(
            scores,
            truth,
            hop=hop,
            labels=labels,
            median_length=median_length,
            f1_threshold=f1_threshold,
            cross_trigger_average=cross_trigger_average,
        )
    except ValueError as error:
        raise UserError(str(error)) from None
