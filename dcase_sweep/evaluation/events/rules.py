"""All numbers in the evaluation of sound event detection."""

from dataclasses import dataclass, field

from dcase_sweep.evaluation.events.decode import OFFICIAL_THRESHOLDS
from dcase_sweep.evaluation.events.f1 import F1Criteria
from dcase_sweep.evaluation.events.psds import PUBLISHED_AVERAGE, SCENARIOS, CrossTriggerAverage, PsdsParameters


@dataclass(frozen=True, slots=True)
class EventRules:
    """The numbers of an evaluation; the defaults are those of DCASE 2021, task 4.

    `thresholds` is the number of thresholds of PSDS, `f1_threshold` the threshold of F1, `validation_threshold` that of
    the metrics that choose an epoch. `reference` also computes the metrics with psds_eval and sed_eval.

    Raises:
        ValueError: for a value out of its range.
    """

    thresholds: int = OFFICIAL_THRESHOLDS
    f1_threshold: float = 0.5
    validation_threshold: float = 0.5
    cross_trigger_average: CrossTriggerAverage = PUBLISHED_AVERAGE
    scenarios: tuple[PsdsParameters, ...] = SCENARIOS
    criteria: F1Criteria = field(default_factory=F1Criteria)
    reference: bool = False

    def __post_init__(self) -> None:
        if self.thresholds < 1:
            raise ValueError(f"thresholds is {self.thresholds!r}; expected at least 1")
        for name in ("f1_threshold", "validation_threshold"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected 0 to below 1")
        if self.cross_trigger_average not in ("all", "others"):
            raise ValueError(f"cross_trigger_average is {self.cross_trigger_average!r}; expected all or others")
