"""A table of logged runs, and the evaluation of scores from any source."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcase_sweep.utils.errors import DataError, UserError

if TYPE_CHECKING:
    import pandas as pd

    from dcase_sweep.evaluation.events import CrossTriggerAverage, EventEvaluation
    from dcase_sweep.evaluation.scenes.metrics import SceneReport

#: An option of the command line in a message.
_OPTION = re.compile(r"(^|\s)--(classes|f1-table|f1-threshold|labels|reference)\b ?")


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
    where = Tracking(uri=tracking_uri, folder=str(Path(folder).expanduser()))
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
        classes: scene labels in the order of the columns; None = those of the reference in alphabetical order, or by
            value if all are whole numbers.
        devices: the device of each clip; None = that of the table, if it has one.

    Raises:
        UserError: for invalid scores or labels.
    """
    from dcase_sweep.evaluation.scenes.files import check_classes, read_reference, read_scores
    from dcase_sweep.evaluation.scenes.metrics import as_probabilities, sort_classes
    from dcase_sweep.evaluation.scenes.metrics import evaluate_scenes as evaluate

    _refuse_text(classes=classes, devices=devices)
    with _named_arguments():
        table = read_reference(Path(reference).expanduser()) if isinstance(reference, str | Path) else None
        labels = table.scene_labels if table is not None else _name_scenes(reference)  # type: ignore[arg-type]
        classes = None if classes is None else tuple(map(str, classes))
        if isinstance(scores, str | Path):
            if table is None:
                raise UserError(f"reference: labels without file names; expected the table of the clips in {scores}")
            found = read_scores(Path(scores).expanduser(), table, classes=classes)
            columns, values, rows = found.classes, found.values, found.rows
        else:
            columns = sort_classes(labels) if classes is None else classes
            if classes is not None:
                check_classes(columns)
            values, rows = np.asarray(scores, dtype=np.float64), None
        return evaluate(
            as_probabilities(values, rows=rows),
            _find_labels(labels, columns),
            classes=columns,
            devices=devices if devices is not None else table.devices if table is not None else None,
        )


def _name_scenes(reference: Sequence[object]) -> tuple[str, ...]:
    """Return the scene of each clip as text; indices are names too."""
    for place, label in enumerate(reference):
        if np.ndim(label) > 0:  # type: ignore[arg-type]
            raise UserError(f"reference[{place}]: {len(label)} values; expected one label for each clip")  # type: ignore[arg-type]
    return tuple(map(str, reference))


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
    median_length: int | Mapping[str, int] | None = None,
    f1_threshold: float = 0.5,
    f1_table: str | Path | None = None,
    cross_trigger_average: "CrossTriggerAverage" = "all",
    merge_overlaps: bool = False,
    reference: bool = False,
) -> "EventEvaluation":
    """Compute PSDS and collar-based, segment-based and intersection-based F1 (DCASE 2021 task 4).

    Args:
        scores: file name → probabilities ``[frame, class]``; or what ``python -m dcase_sweep evaluate events`` reads: a
            folder with a table of detections for each threshold, a folder with a table of scores for each clip, or one
            table of detections.
        ground_truth: a table with the columns filename, onset, offset (s) and event_label.
        durations: a table with the columns filename and duration (s), with all clips of the set.
        hop: time between frames in s; required for probabilities, and only for these.
        labels: event labels in the order of the columns; None = those of the ground truth in alphabetical order, or
            those of the tables of scores.
        median_length: length of the median filter of probabilities in frames; one number, or one for each class; None =
            7. Tables are not filtered.
        f1_threshold: threshold of the F1 scores. If the folder has no table of it, that in the parent folder is used,
            otherwise the nearest one; ``f1_threshold`` of the result is its threshold.
        f1_table: the table of detections for the F1 scores, if not one of the folder.
        cross_trigger_average: ``all`` (psds_eval 0.3, as in published results) or ``others`` (psds_eval 0.5).
        merge_overlaps: merge overlapping reference events of the same class instead of raising an error.
        reference: also compute the metrics with psds_eval and sed_eval (extra ``reference``).

    Raises:
        UserError: for invalid tables or scores, with one line for each problem.
    """
    from dcase_sweep.evaluation.events import evaluate
    from dcase_sweep.evaluation.events.files import check_labels, evaluate_files, read_truth

    _refuse_text(labels=labels)
    if not 0 <= f1_threshold <= 1:
        raise UserError(f"f1_threshold={f1_threshold}: expected a number from 0 to 1")
    if cross_trigger_average not in ("all", "others"):
        raise UserError(f"cross_trigger_average={cross_trigger_average!r}: expected 'all' or 'others'")
    truth, lengths = (Path(each).expanduser() for each in (ground_truth, durations))
    if isinstance(scores, str | Path):
        for name, value in (("hop", hop), ("median_length", median_length)):
            if value is not None:
                raise UserError(f"{name}={value}: not used for tables, which have times; leave it out")
        with _named_arguments():
            return evaluate_files(
                Path(scores).expanduser(),
                truth,
                lengths,
                labels=labels,
                f1_threshold=f1_threshold,
                f1_table=None if f1_table is None else Path(f1_table).expanduser(),
                cross_trigger_average=cross_trigger_average,
                merge_overlaps=merge_overlaps,
                reference=reference,
            )
    if f1_table is not None:
        raise UserError(f"f1_table={f1_table}: F1 is computed from the scores; leave it out")
    if not isinstance(scores, Mapping):
        raise UserError(f"scores: a {type(scores).__name__}; expected file name → probabilities, a folder or a table")
    if hop is None:
        raise UserError("hop: not given; expected the time between the frames of the scores, s")
    with _named_arguments():
        classes = None if labels is None else check_labels(labels)
        return evaluate(
            {name: np.asarray(values) for name, values in scores.items()},
            read_truth(truth, lengths, labels=classes, merge_overlaps=merge_overlaps),
            hop=hop,
            labels=classes,
            median_length=7 if median_length is None else median_length,
            f1_threshold=f1_threshold,
            cross_trigger_average=cross_trigger_average,
            reference=reference,
        )


def _refuse_text(**lists: Sequence[str] | None) -> None:
    """Raise a UserError for a text in place of a list of texts, which would be one of letters."""
    for name, value in lists.items():
        if isinstance(value, str):
            raise UserError(f"{name}={value!r}: a text; expected a list of them: {value.split(',')}")


@contextmanager
def _named_arguments() -> Iterator[None]:
    """Raise the errors of an evaluation as UserErrors that name arguments, not options of the command."""
    try:
        yield
    except DataError as error:
        raise DataError([_name_arguments(line) for line in error.problems]) from None
    except (UserError, ValueError) as error:
        raise UserError(_name_arguments(str(error))) from None


def _name_arguments(message: str) -> str:
    message = message.replace("add --merge-overlaps", "add merge_overlaps=True")
    return _OPTION.sub(lambda found: f"{found[1]}{found[2].replace('-', '_')}=", message)
