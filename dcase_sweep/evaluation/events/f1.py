"""F1 and the averages of sed_eval: an undefined value (0 / 0) is NaN and is left out of the macro average."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class F1Criteria:
    """The criteria for a correctly detected event. The defaults are those of DCASE 2021, task 4.

    Collar F1: onset within `onset_collar` s, offset within `offset_collar` s or `offset_fraction` of the length.
    Segment F1: segments of `segment_length` s. Intersection F1: `dtc`, `gtc`, `cttc`, see `count_intersections`.

    Raises:
        ValueError: for a value out of its range.
    """

    onset_collar: float = 0.2
    offset_collar: float = 0.2
    offset_fraction: float = 0.2
    segment_length: float = 1.0
    dtc: float = 0.5
    gtc: float = 0.5
    cttc: float = 0.3

    def __post_init__(self) -> None:
        for name in ("onset_collar", "offset_collar", "offset_fraction"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected 0 or more")
        if not 0 < self.segment_length < np.inf:
            raise ValueError(f"segment_length is {self.segment_length!r}; expected more than 0 s")
        for name in ("dtc", "gtc", "cttc"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected more than 0 and at most 1")

    @property
    def collars(self) -> dict[str, float]:
        """The arguments of `collar_f1`, `collar_error_rates` and `match_events`."""
        return {name: getattr(self, name) for name in ("onset_collar", "offset_collar", "offset_fraction")}


@dataclass(frozen=True, slots=True)
class ClassF1:
    """F1, precision and recall (0 to 1, or NaN) of one class, and the counts of the criterion."""

    label: str
    f1: float
    precision: float
    recall: float
    reference: int
    detected: int


@dataclass(frozen=True, slots=True)
class F1:
    """F1 (0 to 1) averaged over classes (macro) and over all counts (micro; None if the criterion has none).

    `averaged` is the number of classes in the macro average, `rule` describes its definition.
    """

    macro: float
    micro: float | None
    per_class: tuple[ClassF1, ...]
    averaged: int
    rule: str


def class_f1(label: str, *, hits: int, reference: int, detected: int, zero_if_undetected: bool) -> ClassF1:
    """Compute the values of sed_eval: recall is NaN without a reference, precision is NaN or 0 without a detection."""
    recall = hits / reference if reference else float("nan")
    precision = hits / detected if detected else (0.0 if zero_if_undetected else float("nan"))
    return ClassF1(label, _harmonic_mean(precision, recall), precision, recall, reference, detected)


def mean_over_classes(per_class: Sequence[ClassF1]) -> tuple[float, int]:
    """Return the mean F1 of the classes with a defined one (NaN if there are none), and their number."""
    values = [item.f1 for item in per_class if not np.isnan(item.f1)]
    return (float(np.mean(values)) if values else float("nan")), len(values)


def summarise(per_class: Sequence[ClassF1], *, hits: int, zero_if_undetected: bool, rule: str) -> F1:
    """Compute macro and micro F1 of all classes; 0 if nothing is detected (the DCASE recipe), NaN without events."""
    macro, averaged = mean_over_classes(per_class)
    reference, detected = (sum(getattr(item, name) for item in per_class) for name in ("reference", "detected"))
    overall = class_f1("", hits=hits, reference=reference, detected=detected, zero_if_undetected=zero_if_undetected)
    if reference and not detected:
        return F1(macro=0.0, micro=0.0, per_class=tuple(per_class), averaged=averaged, rule=rule)
    return F1(macro=macro, micro=overall.f1, per_class=tuple(per_class), averaged=averaged, rule=rule)


def _harmonic_mean(precision: float, recall: float) -> float:
    if precision == 0 and recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)
