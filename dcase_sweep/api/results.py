"""What runs came to, and the evaluation of scores from anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from dcase_sweep.evaluation.events import CrossTriggerAverage, EventEvaluation
    from dcase_sweep.evaluation.scenes.metrics import SceneReport

#: How far the table of the F1 figures may be from the threshold that is asked for.
_NEAR = 0.05


def runs(
    filter: str = "", *, tracking_uri: str | None = None, folder: str | Path = "mlruns", limit: int = 1000
) -> "pd.DataFrame":
    """The newest runs, a row for each: ``run_id``, ``name``, ``status``, ``metrics.*``, ``params.*`` and more.

    Args:
        filter: in MLflow's language: ``"metrics.`test/accuracy` > 0.4 and params.model = 'cnn5'"``.
        tracking_uri: of the store; None = MLFLOW_TRACKING_URI where it is set, else the one in the folder.
        folder: of a local store.
        limit: how many at most.

    Raises:
        UserError: in one line, if there is no store, or for a filter that MLflow cannot read.
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
    """Accuracy and log loss of scene classification, overall, by scene and by device (DCASE 2021 task 1A).

    Args:
        scores: numbers ``[clip, class]``, which are divided by their sums, or a file of them as
            ``python -m dcase_sweep evaluate scenes`` reads it.
        reference: the scene of each clip, or a table with filename, scene_label and perhaps source_label.
        classes: the scenes in the order of the columns; None = those of the reference in alphabetical order.
        devices: of each clip; None = those of the table, where it has them.

    Raises:
        UserError: in one line, for scores or labels that cannot be used.
    """
    from dcase_sweep.evaluation.scenes.files import read_reference, read_scores
    from dcase_sweep.evaluation.scenes.metrics import as_probabilities
    from dcase_sweep.evaluation.scenes.metrics import evaluate_scenes as evaluate

    table = read_reference(reference) if isinstance(reference, str | Path) else None
    labels: Sequence[str] = table.scene_labels if table is not None else list(reference)  # type: ignore[arg-type]
    if isinstance(scores, str | Path):
        if table is None:
            raise UserError(f"reference: labels without file names; expected the table that {scores} belongs to")
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
    """Index of each clip's scene ``[clip]``."""
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
    """PSDS, collar, segment and intersection F1 of sound event detection (DCASE 2021 task 4).

    Args:
        scores: probabilities ``[frame, class]`` of each clip by its file name; or a folder with a table of detections
            for each threshold, as ``python -m dcase_sweep evaluate events`` reads it.
        ground_truth: table with filename, onset, offset, event_label.
        durations: table with filename, duration (s), of every clip of the set.
        hop: seconds from frame to frame; needed for scores.
        labels: the classes in the order of the columns; None = those of the ground truth in alphabetical order.
        median_length: frames of the median filter over scores; one number, or one for each class.
        f1_threshold: of the F1 figures; of a folder, the table nearest to it.
        cross_trigger_average: ``all`` (psds_eval 0.3, the published figures) or ``others`` (psds_eval 0.5).
        merge_overlaps: merge overlapping reference events of one class instead of refusing them.

    Raises:
        UserError: in one line for each problem, for tables or scores that cannot be used.
    """
    from dcase_sweep.evaluation import events

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
        nearest = min(tables, key=lambda threshold: (abs(threshold - f1_threshold), threshold))
        if abs(nearest - f1_threshold) > _NEAR:
            raise UserError(f"f1_threshold={f1_threshold:g}: no table near it in {scores}; the nearest is {nearest:g}")
        return events.evaluate_detections(
            events.read_detections(tables, clips=truth.clips, labels=truth.labels),
            events.read_detections({nearest: tables[nearest]}, clips=truth.clips, labels=truth.labels),
            truth,
            cross_trigger_average=cross_trigger_average,
        )
    if hop is None:
        raise UserError("hop: not given; expected the seconds from frame to frame of the scores")
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
