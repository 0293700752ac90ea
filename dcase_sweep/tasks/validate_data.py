"""What configuration and data must agree on, seen before any features are computed."""

import difflib
import logging

from dcase_sweep.config import Experiment, MeanTeacher, clip_seconds
from dcase_sweep.data.events import EventData
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)


def validate_data(experiment: Experiment, data: SceneData | EventData) -> None:
    """Refuse data that this configuration cannot learn from, and say what it cannot be judged by.

    Raises:
        UserError: in one line.
    """
    if isinstance(data, EventData) and experiment.mean_teacher is not None:
        _check_classes(experiment.mean_teacher.median_filter, data.classes)
        if experiment.published_checkpoint is None:
            _check_batches(experiment.mean_teacher, data)
        if not data.reference_events(data.test):
            log.warning("data      no event in the test set: PSDS and F1 are not defined on it")
        _warn_of_cut_events(clip_seconds(experiment), data)


def _warn_of_cut_events(seconds: float, data: EventData) -> None:
    """Events that begin after the end of the network's input can only be missed."""
    behind = sum(onset >= seconds for _, onset, _, _ in data.reference_events(data.test))
    if behind:
        log.warning(f"data      {behind} test events begin after data.seconds={seconds:g} and count as missed")


def _check_classes(median_filter: object, classes: tuple[str, ...]) -> None:
    if not isinstance(median_filter, dict):
        return
    for label in median_filter:
        if label not in classes:
            near = difflib.get_close_matches(label, classes, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(classes)}"
            raise UserError(f"mean_teacher.median_filter.{label}: no such class; {hint}")
    missing = [label for label in classes if label not in median_filter]
    if missing:
        raise UserError(
            f"mean_teacher.median_filter: no frames for {', '.join(missing)}; expected some for every class"
        )


def _check_batches(settings: MeanTeacher, data: EventData) -> None:
    subsets = {"strong": data.strong, "weak": data.weak, "unlabelled": data.unlabeled}
    for name, rows in subsets.items():
        share = getattr(settings, name)
        if len(rows) < share:
            raise UserError(f"mean_teacher.{name}={share}: only {len(rows)} clips; expected at most as many a batch")
