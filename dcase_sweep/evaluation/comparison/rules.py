"""The rules of evaluations. Results with different rules are not compared."""

import string
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from dcase_sweep.evaluation.events.f1 import F1Criteria
from dcase_sweep.evaluation.events.psds import RULE_OF, SCENARIOS, PsdsParameters
from dcase_sweep.evaluation.events.rules import EventRules

#: Prefix of the parameters with the rules of a run. Those that select an epoch or add results are not part of a rule.
_EVALUATION = "evaluation."
_NOT_OF_RULES = ("evaluation.precision", "evaluation.reference", "evaluation.validation_threshold")
#: Parameters of runs of sound event detection only.
_OF_EVENTS = ("evaluation.cross_trigger_average", "evaluation.scenario1.dtc")


def is_of_events(parameters: Mapping[str, str]) -> bool:
    """Whether a run with these parameters is one of sound event detection."""
    return any(name in parameters for name in _OF_EVENTS)


def describe_rule(parameters: Mapping[str, str], metrics: Iterable[str]) -> str:
    """Describe the rule of a run. The description is equal for runs whose results can be compared.

    Args:
        parameters: the logged parameters of the run.
        metrics: the names of its metrics.
    """
    if is_of_events(parameters):
        try:
            return describe_event_rules(read_event_rules(parameters))
        except ValueError:  # of a user-defined task, or of another program
            pass
    elif "test/accuracy" in metrics:
        return "accuracy, log loss and F1: macro averages over scenes"
    settings = {
        name.removeprefix(_EVALUATION): value
        for name, value in sorted(parameters.items())
        if name.startswith(_EVALUATION) and name not in _NOT_OF_RULES
    }
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "the task's own"


def read_event_rules(parameters: Mapping[str, str]) -> EventRules:
    """Return the rules of an evaluation of events from the parameters of a run, by default those of DCASE 2021.

    Raises:
        ValueError: for a value that is not a number, or out of range.
    """

    def read(prefix: str, default: Any, names: Iterable[str]) -> dict[str, Any]:
        found = {}
        for name in names:
            text = parameters.get(f"{_EVALUATION}{prefix}{name}")
            if text is not None:
                found[name] = type(getattr(default, name))(text)
        return found

    defaults = EventRules()
    scenarios = tuple(
        replace(each, **read(f"scenario{number}.", each, (f.name for f in fields(PsdsParameters) if f.name != "name")))
        for number, each in enumerate(SCENARIOS, start=1)
    )
    collar = read("", F1Criteria(), ("onset_collar", "offset_collar", "offset_fraction"))
    return replace(
        defaults,
        **read("", defaults, ("thresholds", "f1_threshold", "cross_trigger_average")),
        scenarios=scenarios,
        criteria=replace(F1Criteria(), **collar),
    )


def describe_event_rules(rules: EventRules) -> str:
    """Describe the rules of PSDS and collar F1 in one line."""
    over = {"all": "N", "others": "N-1"}[rules.cross_trigger_average]
    changed = [
        f"scenario {number} with {field.name} {getattr(wanted, field.name):g}"
        for number, (wanted, official) in enumerate(zip(rules.scenarios, SCENARIOS, strict=True), start=1)
        for field in fields(PsdsParameters)
        if field.name != "name" and getattr(wanted, field.name) != getattr(official, field.name)
    ]
    criteria = rules.criteria
    collars = f"{criteria.onset_collar:g} s and {criteria.offset_collar:g} s or {100 * criteria.offset_fraction:g} %"
    return (
        f"PSDS: {rules.thresholds} thresholds, cross-triggers over {over} classes "
        f"({RULE_OF[rules.cross_trigger_average]}), {', '.join(changed) or 'scenarios of DCASE 2021'}; "
        f"F1: threshold {rules.f1_threshold:g}, collars {collars}, macro"
    )


def letter_rules(rules: Iterable[str]) -> dict[str, str]:
    """Return a letter for each rule, in the order of their first occurrence."""
    letters = string.ascii_uppercase
    return {
        rule: letters[place] if place < len(letters) else str(place + 1)
        for place, rule in enumerate(dict.fromkeys(rules))
    }
