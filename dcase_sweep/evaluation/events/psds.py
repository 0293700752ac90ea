"""Polyphonic sound detection score: the area under the curve of effective true over effective false positive rate.

Bilen, Ferroni, Tuveri, Azcarreta, Krstulovic: A framework for the robust evaluation of sound event detection,
ICASSP 2020. Scenario 1 requires exact timing, scenario 2 no confusion of classes (DCASE 2021, task 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.decode import OFFICIAL_THRESHOLDS
from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.intersection import IntersectionCounts, check_criteria, count_intersections

#: Classes over which the cross-trigger rates of a class are averaged: the N - 1 other ones (psds_eval 0.5 and
#: sed_scores_eval), or all N with 0 for itself (psds_eval 0.3.0, under which the 2021 figures were published).
CrossTriggerAverage = Literal["others", "all"]

#: The rule of the published figures of DCASE 2021, such as .533 for scenario 2 of the baseline's student.
PUBLISHED_AVERAGE: CrossTriggerAverage = "all"
#: The version of psds_eval with each rule; the scores of the same detections differ by about .005.
RULE_OF: dict[CrossTriggerAverage, str] = {"all": "psds_eval 0.3", "others": "psds_eval 0.5"}

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class PsdsParameters:
    """The criteria of PSDS for detections and the weights of errors.

    `dtc`, `gtc`, `cttc`: see `count_intersections`. `alpha_ct`: weight of cross-triggers. `alpha_st`: weight of the
    spread over classes. `max_efpr`: upper limit of the effective false positive rate (1/h).
    """

    name: str
    dtc: float
    gtc: float
    cttc: float
    alpha_ct: float
    alpha_st: float
    max_efpr: float = 100.0

    def __post_init__(self) -> None:
        check_criteria(dtc=self.dtc, gtc=self.gtc, cttc=self.cttc)
        if not 0 <= self.alpha_ct <= 1:
            raise ValueError(f"alpha_ct is {self.alpha_ct!r}; expected 0 to 1")
        if self.alpha_st < 0 or self.max_efpr <= 0:
            raise ValueError(f"alpha_st {self.alpha_st!r}, max_efpr {self.max_efpr!r}; expected >= 0 and > 0")


#: The scenarios of DCASE 2021, task 4 (recipe dcase2021_task4_baseline of DESED_task).
SCENARIO_1 = PsdsParameters("scenario 1", dtc=0.7, gtc=0.7, cttc=0.3, alpha_ct=0.0, alpha_st=1.0)
SCENARIO_2 = PsdsParameters("scenario 2", dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5, alpha_st=1.0)
SCENARIOS = (SCENARIO_1, SCENARIO_2)


@dataclass(frozen=True, slots=True, eq=False)
class PsdRoc:
    """Staircases over the effective false positive rate [point] (1/h), each level valid from its point on.

    `effective_tpr` [point] is the mean over classes less the weighted spread, `class_tpr` is [class, point].
    """

    effective_fpr: NDArray[np.float64]
    effective_tpr: NDArray[np.float64]
    class_tpr: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Psds:
    """The score (0 to 1) of all classes together and of each alone, with the curves.

    `per_class` is in the order of `labels`, the classes with a reference event; the score of all together is below
    their mean because it charges the spread. `thresholds` is None where all thresholds are evaluated.
    """

    value: float
    labels: tuple[str, ...]
    per_class: tuple[float, ...]
    roc: PsdRoc = field(repr=False)
    parameters: PsdsParameters
    cross_trigger_average: CrossTriggerAverage
    thresholds: int | None

    @property
    def rule(self) -> str:
        """Description of the definition."""
        p = self.parameters
        points = "all thresholds (exact, as sed_scores_eval)" if self.thresholds is None else _points(self.thresholds)
        criteria = f"dtc {p.dtc:g}, gtc {p.gtc:g}, alpha_st {p.alpha_st:g}, max eFPR {p.max_efpr:g}/h"
        if not p.alpha_ct:
            return f"{points}; {criteria}, no cross-triggers"
        over = {"others": "N-1", "all": "N"}[self.cross_trigger_average]
        rule = RULE_OF[self.cross_trigger_average]
        return f"{points}; {criteria}, cttc {p.cttc:g}, alpha_ct {p.alpha_ct:g} averaged over {over} ({rule}) classes"


@dataclass(frozen=True, slots=True, eq=False)
class ClassRoc:
    """Operating points of one class: true positive ratio and effective false positives an hour, [point] each."""

    tpr: NDArray[np.float64]
    effective_fpr: NDArray[np.float64]


def other_average(average: CrossTriggerAverage) -> CrossTriggerAverage:
    """Return the other rule."""
    return "others" if average == "all" else "all"


def psds(
    detections: Detections,
    truth: GroundTruth,
    parameters: PsdsParameters,
    *,
    cross_trigger_average: CrossTriggerAverage = "others",
) -> Psds:
    """Compute PSDS from the thresholds of `detections`, as psds_eval does from one table for each threshold.

    Only classes with a reference event are evaluated; detections of other classes are left out, as in psds_eval.
    With a single such class there are no cross-triggers (psds_eval divides 0 by 0 and returns 0).

    Raises:
        ValueError: an unknown average, or classes or clips in another order than the ground truth's.
    """
    return psds_of_counts(count_for_psds(detections, truth, parameters), parameters, cross_trigger_average)


def count_for_psds(detections: Detections, truth: GroundTruth, parameters: PsdsParameters) -> IntersectionCounts:
    """Count what PSDS needs, for either average over cross-triggers."""
    return count_intersections(detections, truth, dtc=parameters.dtc, gtc=parameters.gtc, cttc=parameters.cttc)


def psds_of_counts(
    counts: IntersectionCounts, parameters: PsdsParameters, cross_trigger_average: CrossTriggerAverage
) -> Psds:
    """Compute PSDS with one of the averages.

    Raises:
        ValueError: an unknown average.
    """
    weight = cross_trigger_weight(len(counts.labels), cross_trigger_average)
    return score_curves(
        [class_roc(counts, i, parameters.alpha_ct * weight) for i in range(len(counts.labels))],
        counts.labels,
        parameters,
        cross_trigger_average=cross_trigger_average,
        thresholds=len(counts.thresholds),
    )


def cross_trigger_weight(n_labels: int, average: CrossTriggerAverage) -> float:
    """Return the weight of one class's cross-trigger rate in the average over classes.

    Raises:
        ValueError: an unknown average.
    """
    if average not in ("others", "all"):
        raise ValueError(f"cross_trigger_average is {average!r}; expected 'others' (N-1 classes) or 'all' (N classes)")
    return 1 / max(n_labels - 1 if average == "others" else n_labels, 1)


def class_roc(counts: IntersectionCounts, index: int, weight: float) -> ClassRoc:
    """Compute the operating points of one class; `weight` is that of the cross-triggers with each other class."""
    rate = counts.cross_triggers[index] * (SECONDS_PER_HOUR / counts.reference_seconds)[:, None]
    rate[index] = 0
    false_alarms = counts.false_positives[index] * (SECONDS_PER_HOUR / counts.total_seconds)
    return ClassRoc(
        tpr=counts.true_positives[index] / counts.reference_events[index],
        effective_fpr=false_alarms + weight * rate.sum(axis=0),
    )


def score_curves(
    curves: Sequence[ClassRoc],
    labels: tuple[str, ...],
    parameters: PsdsParameters,
    *,
    cross_trigger_average: CrossTriggerAverage,
    thresholds: int | None,
) -> Psds:
    """Compute the score from the operating points of the classes; NaN without a class."""
    stairs = [_staircase(curve, parameters.max_efpr) for curve in curves]
    points = np.unique(np.concatenate([[0.0], *(stair.effective_fpr for stair in stairs)]))
    class_tpr = np.zeros((len(stairs), len(points)))
    for levels, stair in zip(class_tpr, stairs, strict=True):
        levels[:] = stair.tpr[np.searchsorted(stair.effective_fpr, points, side="right") - 1]
    widths = np.diff(points, append=parameters.max_efpr) / parameters.max_efpr
    if stairs:
        effective_tpr = np.maximum(class_tpr.mean(axis=0) - parameters.alpha_st * class_tpr.std(axis=0), 0)
    else:
        effective_tpr = np.full(len(points), np.nan)
    return Psds(
        value=float(widths @ effective_tpr),
        labels=labels,
        per_class=tuple(float(area) for area in class_tpr @ widths),
        roc=PsdRoc(points, effective_tpr, class_tpr),
        parameters=parameters,
        cross_trigger_average=cross_trigger_average,
        thresholds=thresholds,
    )


def _staircase(curve: ClassRoc, max_efpr: float) -> ClassRoc:
    """Keep the points that are better than all points with fewer false positives, from (0, 0) to `max_efpr`."""
    fpr = np.concatenate([[0.0], curve.effective_fpr])
    tpr = np.concatenate([[0.0], curve.tpr])
    order = np.lexsort((-tpr, fpr))
    fpr, tpr = fpr[order], np.maximum.accumulate(tpr[order])
    better = np.ones(len(tpr), dtype=bool)
    better[1:] = (tpr[1:] > tpr[:-1]) & (fpr[1:] <= max_efpr)
    return ClassRoc(tpr[better], fpr[better])


def _points(count: int) -> str:
    points = "1 threshold" if count == 1 else f"{count} thresholds"
    return points if count == OFFICIAL_THRESHOLDS else f"{points} (the recipe takes {OFFICIAL_THRESHOLDS})"
