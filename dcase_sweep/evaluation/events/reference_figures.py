"""Comparison of our metrics with those of psds_eval and sed_eval on the same detections."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.f1 import F1Criteria
from dcase_sweep.evaluation.events.psds import RULE_OF

if TYPE_CHECKING:
    from dcase_sweep.evaluation.events.evaluation import EventEvaluation

#: Larger values of sed_eval are divisions by 0, to which it adds 2.2e-16.
_LARGEST_RATE = 1e9


@dataclass(frozen=True, slots=True)
class ReferenceFigure:
    """A metric as computed by this package and by another one.

    Attributes:
        metric: name of the metric, as in the other tables.
        average: overall, macro or micro.
        ours: the value of this package.
        package: name and version of the other package.
        theirs: the value of the other package; None if it cannot compute it.
        problem: the reason why it cannot.
    """

    metric: str
    average: str
    ours: float
    package: str
    theirs: float | None
    problem: str = ""

    @property
    def difference(self) -> float | None:
        """Our value minus theirs; None if they have none."""
        return None if self.theirs is None else self.ours - self.theirs


def compare_with_reference(
    evaluation: "EventEvaluation", detections: Detections, criteria: F1Criteria
) -> tuple[ReferenceFigure, ...]:
    """Compute PSDS and intersection F1 with psds_eval, and collar F1, segment F1 and error rates with sed_eval.

    Args:
        evaluation: our evaluation.
        detections: detections at the thresholds of PSDS; those for F1 are `evaluation.decisions`.
        criteria: criteria of F1.
    """
    return (*_compare_psds(evaluation, detections), *_compare_f1(evaluation, criteria))


def _compare_psds(evaluation: "EventEvaluation", detections: Detections) -> Iterator[ReferenceFigure]:
    from dcase_sweep.evaluation.events.reference import psds_eval_psds

    for is_other, scores in ((False, evaluation.psds), (True, evaluation.psds_other)):
        for score in scores:
            rule = f"_{RULE_OF[score.cross_trigger_average].replace(' ', '_')}" if is_other else ""
            theirs, problem = _try(
                lambda score=score: psds_eval_psds(  # type: ignore[misc]
                    detections,
                    evaluation.truth,
                    score.parameters,
                    cross_trigger_average=score.cross_trigger_average,
                )[0]
            )
            metric = f"psds_{score.parameters.name.replace(' ', '_')}{rule}"
            yield ReferenceFigure(metric, "overall", score.value, _version("psds_eval"), theirs, problem)


def _compare_f1(evaluation: "EventEvaluation", criteria: F1Criteria) -> Iterator[ReferenceFigure]:
    from dcase_sweep.evaluation.events import reference

    found, truth = evaluation.decisions, evaluation.truth
    theirs, problem = _try(
        lambda: reference.psds_eval_f1(found, truth, dtc=criteria.dtc, gtc=criteria.gtc, cttc=criteria.cttc)[0]
    )
    ours = evaluation.intersection.macro
    yield ReferenceFigure("intersection_f1", "macro", ours, _version("psds_eval"), theirs, problem)
    pairs = (
        (
            "collar",
            evaluation.collar,
            evaluation.collar_errors,
            lambda: reference.sed_eval_collar(
                found, truth, onset_collar=_one_collar(criteria), offset_fraction=criteria.offset_fraction
            ),
        ),
        (
            "segment",
            evaluation.segment,
            evaluation.segment_errors,
            lambda: reference.sed_eval_segment(found, truth, segment_length=criteria.segment_length),
        ),
    )
    for name, f1, errors, compute in pairs:
        results, problem = _try(compute)
        for metric, average, value, path in (
            ("f1", "macro", f1.macro, ("class_wise_average", "f_measure", "f_measure")),
            ("f1", "micro", f1.micro, ("overall", "f_measure", "f_measure")),
            ("error_rate", "micro", errors.overall, ("overall", "error_rate", "error_rate")),
            ("error_rate", "macro", errors.macro, ("class_wise_average", "error_rate", "error_rate")),
        ):
            theirs = None if results is None else _look_up(results, path)
            why = problem
            if theirs is not None and theirs > _LARGEST_RATE:
                theirs, why = None, "error rate: divided by 2.2e-16, as a class has no reference event"
            ours = float("nan") if value is None else value
            yield ReferenceFigure(f"{name}_{metric}", average, ours, _version("sed_eval"), theirs, why)


def _look_up(results: Mapping[str, Any], path: Sequence[str]) -> float:
    """Return a value of sed_eval; NaN if it has none, as without any event."""
    for name in path[:-1]:
        results = results.get(name, {})
    return float(results.get(path[-1], math.nan))


def _one_collar(criteria: F1Criteria) -> float:
    if criteria.onset_collar != criteria.offset_collar:
        raise ValueError("sed_eval has one collar for onset and offset, and these differ")
    return criteria.onset_collar


def _try(compute: Callable[[], Any]) -> tuple[Any, str]:
    """Return the result, or an error message, so that an error in another package does not end a training."""
    try:
        return compute(), ""
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        return None, f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _version(package: str) -> str:
    return f"{package} {metadata.version(package)}"
