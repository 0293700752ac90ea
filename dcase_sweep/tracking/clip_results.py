"""The results of a run by test clip, from which its metrics on resampled clips are computed.

The files are not trusted.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.comparison.rules import read_event_rules
from dcase_sweep.evaluation.events.clip_counts import ClipCounts, read_clip_counts, resample_collar_f1, resample_psds
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.resampling import Statistic
from dcase_sweep.evaluation.scenes.resampling import class_average
from dcase_sweep.tracking.finding import LoggedRun
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.tables import parse_number, read_table

#: Names of clips with their labels, sorted, and for each metric a function that computes it on resampled clips.
ClipStatistics = tuple[tuple[str, ...], Mapping[str, Statistic]]


@dataclass(frozen=True, slots=True, eq=False)
class SceneClips:
    """The class, the decision (1 = correct) and the loss of each clip ``[clip]``."""

    clips: tuple[str, ...]
    classes: tuple[str, ...]
    correct: NDArray[np.float64]
    losses: NDArray[np.float64]

    def join(self, other: Self) -> "SceneClips":
        """Return the clips of both."""
        return SceneClips(
            self.clips + other.clips,
            self.classes + other.classes,
            np.concatenate([self.correct, other.correct]),
            np.concatenate([self.losses, other.losses]),
        )

    def statistics(self) -> ClipStatistics:
        """Return accuracy and log loss as functions of resampled clips."""
        classes, truth = np.unique(np.array(self.classes), return_inverse=True)
        statistics = {
            "test/accuracy": class_average(self.correct, truth, len(classes)),
            "test/log_loss": class_average(self.losses, truth, len(classes)),
        }
        return _sort([f"{clip}\t{label}" for clip, label in zip(self.clips, self.classes, strict=True)], statistics)


@dataclass(frozen=True, slots=True, eq=False)
class EventClips:
    """The counts of each clip, and the rules by which they are evaluated."""

    counts: ClipCounts
    rules: EventRules

    def join(self, other: Self) -> "EventClips":
        """Return the clips of both.

        Raises:
            UserError: if they have other classes or thresholds.
        """
        first, second = self.counts, other.counts
        if (
            list(first.labels) != list(second.labels)
            or first.true_positives.shape[2:] != second.true_positives.shape[2:]
        ):
            raise UserError("clip_counts.npz of two runs: other classes or thresholds; expected the same")
        joined = {
            each.name: np.concatenate(
                [getattr(first, each.name), getattr(second, each.name)],
                axis=1 if each.name in ("true_positives", "false_positives", "cross_triggers") else 0,
            )
            for each in fields(ClipCounts)
            if each.name != "labels"
        }
        return EventClips(ClipCounts(labels=first.labels, **joined), self.rules)

    def statistics(self) -> ClipStatistics:
        """Return PSDS and F1 as functions of resampled clips."""
        counts, rules = self.counts, self.rules
        statistics: dict[str, Statistic] = {"test/f1": resample_collar_f1(counts)}
        for index, scenario in enumerate(rules.scenarios[: len(counts.true_positives)]):
            statistics[f"test/psds{index + 1}"] = resample_psds(counts, index, scenario, rules.cross_trigger_average)
        return _sort([f"{clip}\t{_list_events(counts, place)}" for place, clip in enumerate(counts.clips)], statistics)


def _list_events(counts: ClipCounts, clip: int) -> str:
    """Return the reference events of a clip: the number and the seconds of each class that it has."""
    found = zip(counts.labels, counts.events[clip], counts.seconds[clip], strict=True)
    return ",".join(f"{label} {events} {seconds:.3f}" for label, events, seconds in found if events)


def _sort(names: Sequence[str], statistics: Mapping[str, Statistic]) -> ClipStatistics:
    """Sort the clips, so that the folds of two cross-validations have them in one order."""
    order = np.argsort(np.array(names), kind="stable")
    if np.array_equal(order, np.arange(len(names))):
        return tuple(names), statistics
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return tuple(names[place] for place in order), {
        metric: partial(_reorder, statistic, rank) for metric, statistic in statistics.items()
    }


def _reorder(statistic: Statistic, rank: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute a metric for the weights of sorted clips."""
    return statistic(weights[:, rank])


def load_clip_results(run: LoggedRun) -> SceneClips | EventClips | None:
    """Return the results of the run's test clips; None for a run of an earlier version.

    Raises:
        UserError: for a file that holds something else.
    """
    from dcase_sweep.evaluation.events.result import CLIP_COUNTS
    from dcase_sweep.evaluation.scenes.result import CLIP_RESULTS

    with tempfile.TemporaryDirectory() as folder:
        path = run.fetch(CLIP_RESULTS, Path(folder)) if "test/accuracy" in run.metrics else None
        if path is not None:
            return _read_scenes(path)
        path = run.fetch(CLIP_COUNTS, Path(folder)) if "test/psds1" in run.metrics else None
        if path is None:
            return None
        counts = read_clip_counts(path)
    try:
        return EventClips(counts, read_event_rules(run.parameters))
    except ValueError as error:
        raise UserError(f"run {run.id}: evaluation: {error}; expected the rules of an evaluation of events") from None


def _read_scenes(path: Path) -> SceneClips:
    table = read_table(path, ("filename", "scene_label", "correct", "log_loss"))
    numbers = [[parse_number(text) for text in table.columns[column]] for column in ("correct", "log_loss")]
    if any(value is None for column in numbers for value in column):
        raise UserError(f"{path}: correct and log_loss are not all numbers; expected the results of an evaluation")
    correct, losses = (np.array(column, dtype=np.float64) for column in numbers)
    return SceneClips(tuple(table.columns["filename"]), tuple(table.columns["scene_label"]), correct, losses)
