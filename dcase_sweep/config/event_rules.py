"""The parameters of task 4's evaluation, from the configuration."""

from typing import TYPE_CHECKING

from dcase_sweep.config.schemas import Evaluation, Scenario
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    from dcase_sweep.evaluation.events.psds import PsdsParameters
    from dcase_sweep.evaluation.events.rules import EventRules


def event_rules(settings: Evaluation) -> "EventRules":
    """Create the parameters of the evaluation.

    Raises:
        UserError: for a value out of range, with its key.
    """
    from dcase_sweep.evaluation.events.f1 import F1Criteria
    from dcase_sweep.evaluation.events.intersection import check_criteria
    from dcase_sweep.evaluation.events.rules import EventRules

    scenarios = (_scenario(settings.scenario1, 1), _scenario(settings.scenario2, 2))
    wanted = settings.intersection
    try:
        check_criteria(dtc=wanted.dtc, gtc=wanted.gtc, cttc=wanted.cttc)
    except ValueError as error:
        raise UserError(f"evaluation.intersection.{error}") from None
    try:
        criteria = F1Criteria(
            onset_collar=settings.onset_collar,
            offset_collar=settings.offset_collar,
            offset_fraction=settings.offset_fraction,
            segment_length=settings.segment_length,
            dtc=wanted.dtc,
            gtc=wanted.gtc,
            cttc=wanted.cttc,
        )
        return EventRules(
            thresholds=settings.thresholds,
            f1_threshold=settings.f1_threshold,
            validation_threshold=settings.validation_threshold,
            cross_trigger_average=settings.cross_trigger_average,  # type: ignore[arg-type]
            scenarios=scenarios,
            criteria=criteria,
            reference=settings.reference,
        )
    except ValueError as error:
        raise UserError(f"evaluation.{error}") from None


def _scenario(settings: Scenario, number: int) -> "PsdsParameters":
    from dcase_sweep.evaluation.events.psds import PsdsParameters

    try:
        return PsdsParameters(
            f"scenario {number}",
            dtc=settings.dtc,
            gtc=settings.gtc,
            cttc=settings.cttc,
            alpha_ct=settings.alpha_ct,
            alpha_st=settings.alpha_st,
            max_efpr=settings.max_efpr,
        )
    except ValueError as error:
        raise UserError(f"evaluation.scenario{number}.{error}") from None
