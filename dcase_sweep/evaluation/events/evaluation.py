"""All metrics of sound event detection, from scores or from tables of detections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.collar import collar_f1
from dcase_sweep.evaluation.events.decode import FilteredScores, decode, filter_scores, psds_thresholds
from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.error_rates import ErrorRates, collar_error_rates, segment_error_rates
from dcase_sweep.evaluation.events.exact import exact_psds
from dcase_sweep.evaluation.events.f1 import F1, F1Criteria
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.intersection import intersection_f1
from dcase_sweep.evaluation.events.psds import (
    PUBLISHED_AVERAGE,
    RULE_OF,
    SCENARIOS,
    CrossTriggerAverage,
    Psds,
    PsdsParameters,
    count_for_psds,
    other_average,
    psds_of_counts,
)
from dcase_sweep.evaluation.events.reference import check_reference
from dcase_sweep.evaluation.events.reference_figures import ReferenceFigure, compare_with_reference
from dcase_sweep.evaluation.events.score_tables import find_gap
from dcase_sweep.evaluation.events.segment import segment_f1
from dcase_sweep.utils.errors import DataError, UserError


@dataclass(frozen=True, slots=True)
class Coverage:
    """The number of evaluated clips of all clips of a set; downloads of DESED always miss some."""

    scored: int
    total: int

    @property
    def complete(self) -> bool:
        return self.scored == self.total

    @property
    def fraction(self) -> float:
        """Fraction of the clips, 0 to 1."""
        return self.scored / self.total

    def __str__(self) -> str:
        percent = "100" if self.complete else f"{min(100 * self.fraction, 99.9):.1f}"
        return f"{self.scored:,} of {self.total:,} clips ({percent} %)"


@dataclass(frozen=True, slots=True, eq=False)
class EventEvaluation:
    """All metrics of one system on one set.

    `psds` are computed from a grid of thresholds, `exact` (empty without scores) from all thresholds, one for each
    scenario. `psds_other` and `exact_other` use the other rule for cross-triggers, for the scenarios that count these:
    two versions of psds_eval differ in this rule, and published figures follow either. F1 and error rates are computed
    from `decisions`, the detections at `f1_threshold`, and PSDS from `detections`. `truth` is the evaluated part of the
    ground truth, `coverage` its size. `reference` has the metrics of psds_eval and sed_eval, if requested.
    """

    psds: tuple[Psds, ...]
    exact: tuple[Psds, ...]
    psds_other: tuple[Psds, ...]
    exact_other: tuple[Psds, ...]
    collar: F1
    segment: F1
    intersection: F1
    detections: Detections = field(repr=False)
    decisions: Detections = field(repr=False)
    f1_threshold: float
    truth: GroundTruth = field(repr=False)
    coverage: Coverage
    collar_errors: ErrorRates
    segment_errors: ErrorRates
    reference: tuple[ReferenceFigure, ...] = ()

    @property
    def hp_metric(self) -> float:
        """The larger PSDS of the scenarios, which the published recipe uses to compare runs."""
        return max((score.value for score in self.psds), default=float("nan"))


def evaluate(
    scores: Mapping[str, NDArray[np.floating[Any]]],
    truth: GroundTruth,
    *,
    hop: float,
    labels: Sequence[str] | None = None,
    coverage: Coverage | None = None,
    median_length: int | Mapping[str, int] = 7,
    thresholds: Sequence[float] | NDArray[np.float64] | None = None,
    f1_threshold: float = 0.5,
    scenarios: Sequence[PsdsParameters] = SCENARIOS,
    cross_trigger_average: CrossTriggerAverage = PUBLISHED_AVERAGE,
    criteria: F1Criteria = F1Criteria(),  # noqa: B008 (it cannot change)
    exact: bool = True,
    clip_seconds: float | None = None,
    reference: bool = False,
) -> EventEvaluation:
    """Compute all metrics from scores; the defaults are those of DCASE 2021, task 4.

    Clips of `truth` without scores are left out, and `coverage` counts them.

    Args:
        scores: [frame, class] per clip, 0 to 1.
        hop: time from frame to frame (s); 0.064 in the 2021 recipe.
        labels: classes in the order of the columns; None uses the order of `truth.labels`.
        coverage: scored and all clips of the set; None uses the clips of `scores` and of `truth`. Set it if `truth`
            itself lacks clips of the set.
        median_length: length of the median filter in frames: one for all classes, or one for each by name.
        thresholds: thresholds of PSDS; None uses the 50 of the recipe.
        f1_threshold: threshold of F1.
        cross_trigger_average: the rule for PSDS, by default the published one; PSDS by the other rule is also computed.
        criteria: criteria of F1.
        exact: whether to also compute PSDS over all thresholds.
        clip_seconds: length (s) to which every clip was padded or cut, to check the hop against it; None if the scores
            are about as long as the clips.
        reference: also compute the metrics with psds_eval and sed_eval, which takes about a minute.

    Raises:
        DataError: scores of clips that the ground truth does not know, of a wrong shape, not from 0 to 1, or, without
            `clip_seconds`, for a part of a clip.
        UserError: no clip has scores, or the ground truth has events of classes without a column.
        ValueError: a parameter out of its range, or a hop that does not fit the clips' durations.
    """
    unknown = sorted(set(scores) - set(truth.clips))
    if unknown:
        raise DataError(
            [f"scores of {clip}: the clip is not in the ground truth; expected only its clips" for clip in unknown]
        )
    if not scores:
        raise UserError("no clip has scores; expected scores of at least one clip of the ground truth")
    coverage = _check_coverage(coverage, len(scores), len(truth.clips))
    truth = truth.with_labels(truth.labels if labels is None else labels).restricted_to(scores.keys())
    filtered = filter_scores(scores, labels=truth.labels, hop=hop, median_length=median_length, clips=truth.clips)
    _check_hop(scores, hop, truth.durations if clip_seconds is None else np.full(len(scores), clip_seconds))
    if clip_seconds is None:
        _check_lengths(scores, hop, truth)
    return evaluate_filtered(
        filtered,
        truth,
        coverage=coverage,
        thresholds=thresholds,
        f1_threshold=f1_threshold,
        scenarios=scenarios,
        cross_trigger_average=cross_trigger_average,
        criteria=criteria,
        exact=exact,
        reference=reference,
    )


def evaluate_filtered(
    filtered: FilteredScores,
    truth: GroundTruth,
    *,
    coverage: Coverage | None = None,
    thresholds: Sequence[float] | NDArray[np.float64] | None = None,
    f1_threshold: float = 0.5,
    scenarios: Sequence[PsdsParameters] = SCENARIOS,
    cross_trigger_average: CrossTriggerAverage = PUBLISHED_AVERAGE,
    criteria: F1Criteria = F1Criteria(),  # noqa: B008 (it cannot change)
    exact: bool = True,
    reference: bool = False,
) -> EventEvaluation:
    """Compute all metrics from scores that are used as they are; the arguments are those of `evaluate`.

    Raises:
        ValueError: a parameter out of its range, or clips or classes in another order than the ground truth's.
    """
    chosen, other = _exact(filtered, truth, scenarios, cross_trigger_average) if exact else ((), ())
    return evaluate_detections(
        decode(filtered, psds_thresholds() if thresholds is None else thresholds),
        decode(filtered, [f1_threshold]),
        truth,
        coverage=coverage,
        scenarios=scenarios,
        cross_trigger_average=cross_trigger_average,
        criteria=criteria,
        exact=chosen,
        exact_other=other,
        reference=reference,
    )


def evaluate_detections(
    detections: Detections,
    decisions: Detections,
    truth: GroundTruth,
    *,
    coverage: Coverage | None = None,
    scenarios: Sequence[PsdsParameters] = SCENARIOS,
    cross_trigger_average: CrossTriggerAverage = PUBLISHED_AVERAGE,
    criteria: F1Criteria = F1Criteria(),  # noqa: B008 (it cannot change)
    exact: Sequence[Psds] = (),
    exact_other: Sequence[Psds] = (),
    reference: bool = False,
) -> EventEvaluation:
    """Compute all metrics from detections.

    Args:
        detections: detections at the thresholds of PSDS.
        decisions: detections at the threshold of F1.
        coverage: scored and all clips of the set; None if `truth` contains all of it.
        criteria: criteria of F1.
        exact: PSDS over all thresholds, if computed from scores; `exact_other` by the other rule.
        reference: also compute the metrics with psds_eval and sed_eval, which takes about a minute.

    Raises:
        ValueError: a parameter out of its range, or decisions at more than one threshold.
    """
    if reference:
        check_reference("reference")
    counts = [(scenario, count_for_psds(detections, truth, scenario)) for scenario in scenarios]
    evaluation = EventEvaluation(
        psds=tuple(psds_of_counts(counted, scenario, cross_trigger_average) for scenario, counted in counts),
        exact=tuple(exact),
        psds_other=tuple(
            psds_of_counts(counted, scenario, other_average(cross_trigger_average))
            for scenario, counted in counts
            if scenario.alpha_ct
        ),
        exact_other=tuple(exact_other),
        collar=collar_f1(decisions, truth, **criteria.collars),
        segment=segment_f1(decisions, truth, segment_length=criteria.segment_length),
        intersection=intersection_f1(decisions, truth, dtc=criteria.dtc, gtc=criteria.gtc, cttc=criteria.cttc),
        detections=detections,
        decisions=decisions,
        f1_threshold=float(decisions.thresholds[0]),
        truth=truth,
        coverage=_check_coverage(coverage, len(truth.clips), len(truth.clips)),
        collar_errors=collar_error_rates(decisions, truth, **criteria.collars),
        segment_errors=segment_error_rates(decisions, truth, segment_length=criteria.segment_length),
    )
    if not reference:
        return evaluation
    return replace(evaluation, reference=compare_with_reference(evaluation, detections, criteria))


def result_keys(evaluation: EventEvaluation, *, network: str, loss_strong: float) -> dict[str, float]:
    """Return the metrics under the names that the published recipe logs, `test/student/event_f1_macro` and so on.

    The name of PSDS by the other rule ends in the version of psds_eval with that rule. The names do not contain the
    coverage, which has to be logged or printed with them.

    Args:
        network: student or teacher.
        loss_strong: binary cross entropy of the frames.
    """
    figures = {
        "event_f1_macro": evaluation.collar.macro,
        "intersection_f1_macro": evaluation.intersection.macro,
        "loss_strong": loss_strong,
        **{f"psds_score_{score.parameters.name.replace(' ', '')}": score.value for score in evaluation.psds},
        **{f"psds_score_{other_name(score)}": score.value for score in evaluation.psds_other},
    }
    return {f"test/{network}/{name}": float(value) for name, value in figures.items()}


def other_name(score: Psds) -> str:
    """Return the name of PSDS by the other rule: `scenario2_psds_eval_0.5`."""
    return f"{score.parameters.name} {RULE_OF[score.cross_trigger_average]}".replace("scenario ", "scenario").replace(
        " ", "_"
    )


def _exact(
    filtered: FilteredScores, truth: GroundTruth, scenarios: Sequence[PsdsParameters], average: CrossTriggerAverage
) -> tuple[tuple[Psds, ...], tuple[Psds, ...]]:
    """Compute PSDS over all thresholds by one rule for cross-triggers, and by the other one if they count."""
    crossing = [scenario for scenario in scenarios if scenario.alpha_ct]
    averages = [average] * len(scenarios) + [other_average(average)] * len(crossing)
    scored = exact_psds(filtered, truth, parameters=[*scenarios, *crossing], cross_trigger_average=averages)
    return scored[: len(scenarios)], scored[len(scenarios) :]


def _check_hop(scores: Mapping[str, NDArray[np.floating[Any]]], hop: float, durations: NDArray[np.float64]) -> None:
    """Check that the hop fits the durations, to detect one in another unit; scores may be padded or cut a little."""
    seconds, duration = hop * sum(len(values) for values in scores.values()), float(durations.sum())
    if not 0.5 * duration < seconds < 4 * duration:
        raise ValueError(
            f"hop is {hop!r} s, so the scores last {seconds / len(scores):.4g} s a clip; expected about the "
            f"{duration / len(scores):.4g} s of the clips (the 2021 recipe: 0.064 s, 156 frames of 10 s)"
        )


def _check_lengths(scores: Mapping[str, NDArray[np.floating[Any]]], hop: float, truth: GroundTruth) -> None:
    """Check that the frames of each clip cover it, by the rule for tables of scores."""
    problems = []
    for clip, duration in zip(truth.clips, truth.durations.tolist(), strict=True):
        problem = find_gap(0.0, hop * len(scores[clip]), hop, duration)
        if problem is not None:
            problems.append(f"scores of {clip}: {problem}")
    if problems:
        raise DataError(problems)


def _check_coverage(coverage: Coverage | None, scored: int, total: int) -> Coverage:
    if coverage is None:
        return Coverage(scored, total)
    if coverage.scored != scored or coverage.total < total:
        raise ValueError(f"coverage says {coverage}; expected {scored} scored clips and at least {total} in all")
    return coverage
