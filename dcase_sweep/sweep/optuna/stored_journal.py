"""The studies of a journal file of Optuna's."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from dcase_sweep.sweep.optuna.stored_study import (
    CONSTRAINTS,
    METRIC_NAMES,
    STUDY_ATTRIBUTES,
    TRIAL_ATTRIBUTES,
    StoredStudy,
    StoredTrial,
)
from dcase_sweep.utils.errors import UserError

#: The operations of a journal, and those that are not read: parameters and intermediate values.
CREATE_STUDY, DELETE_STUDY, STUDY_ATTRIBUTE, STUDY_SYSTEM_ATTRIBUTE, CREATE_TRIAL = 0, 1, 2, 3, 4
STATE, TRIAL_ATTRIBUTE, TRIAL_SYSTEM_ATTRIBUTE = 6, 8, 9
_SKIPPED = tuple(f'{{"op_code":{blank}{number},'.encode() for number in (5, 7) for blank in ("", " "))
#: The names of states and directions by their numbers.
STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
DIRECTIONS = ("", "minimize", "maximize")
_BEGIN = b'{"op_code":'
#: Longest record that is read, in bytes.
_LONGEST = 2**24


def read_journal(path: Path) -> list[StoredStudy]:
    """Read the studies of a journal.

    Raises:
        UserError: for another file, or a record that does not match the earlier ones.
    """
    content = _Content()
    number = 0
    try:
        with path.open("rb") as handle:
            for line in _lines(handle):
                number += 1
                if not line.startswith(_SKIPPED):
                    content.apply(_parse(line))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; expected a journal of a search") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        problem = f"not a record ({type(error).__name__})"
        raise UserError(f"{path}, line {number}: {problem}; expected a journal of Optuna's") from None
    return list(content.studies.values())


def _lines(handle: Any) -> Iterator[bytes]:
    """The complete lines; the last one may be written just now."""
    while (line := handle.readline(_LONGEST)).endswith(b"\n"):
        yield line
    if len(line) == _LONGEST:
        raise ValueError("too long")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:  # a record that was cut, and one behind it
        found = json.loads(line[line.rfind(_BEGIN) :]) if line.rfind(_BEGIN) > 0 else None
    if not isinstance(found, dict):
        raise ValueError("not a record")
    return found


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


def _numbers(values: Any) -> list[float]:
    return [math.nan if value is None else float(value) for value in values or ()]


class _Content:
    """The studies and trials of a journal, from its records."""

    def __init__(self) -> None:
        self.studies: dict[int, StoredStudy] = {}
        self._created = 0
        self._trials: list[StoredTrial] = []

    def apply(self, record: dict[str, Any]) -> None:
        """Apply one record, as Optuna does."""
        operation = record["op_code"]
        if operation == CREATE_STUDY:
            self._create_study(record)
        elif operation in (DELETE_STUDY, STUDY_ATTRIBUTE, STUDY_SYSTEM_ATTRIBUTE, CREATE_TRIAL):
            if record["study_id"] in self.studies:
                self._change_study(operation, record)
        elif operation in (STATE, TRIAL_ATTRIBUTE, TRIAL_SYSTEM_ATTRIBUTE):
            trial = self._trials[record["trial_id"]]
            if trial.state in ("RUNNING", "WAITING"):
                self._change_trial(operation, trial, record)

    def _create_study(self, record: dict[str, Any]) -> None:
        name = str(record["study_name"])
        if all(study.name != name for study in self.studies.values()):
            self.studies[self._created] = StoredStudy(name, [DIRECTIONS[each] for each in record["directions"]])
            self._created += 1

    def _change_study(self, operation: int, record: dict[str, Any]) -> None:
        study = self.studies[record["study_id"]]
        if operation == DELETE_STUDY:
            del self.studies[record["study_id"]]
        elif operation == STUDY_ATTRIBUTE:
            study.user_attrs |= {key: value for key, value in record["user_attr"].items() if key in STUDY_ATTRIBUTES}
        elif operation == STUDY_SYSTEM_ATTRIBUTE:
            study.metrics = [str(each) for each in record["system_attr"].get(METRIC_NAMES, study.metrics)]
        else:
            trial = StoredTrial(
                len(study.trials),
                STATES[record.get("state", 0)],
                _seconds(record["datetime_start"]),
                _seconds(record.get("datetime_complete")),
                _numbers(record.get("values") or ([] if record.get("value") is None else [record["value"]])),
            )
            study.trials.append(trial)
            self._trials.append(trial)
            _add_attributes(trial, record.get("user_attrs", {}))
            _add_constraints(trial, record.get("system_attrs", {}))

    def _change_trial(self, operation: int, trial: StoredTrial, record: dict[str, Any]) -> None:
        if operation == TRIAL_ATTRIBUTE:
            _add_attributes(trial, record["user_attr"])
        elif operation == TRIAL_SYSTEM_ATTRIBUTE:
            _add_constraints(trial, record["system_attr"])
        elif (state := STATES[record["state"]]) != trial.state or state != "RUNNING":
            trial.state = state
            trial.started = _seconds(record.get("datetime_start")) or trial.started
            trial.ended = _seconds(record.get("datetime_complete")) or trial.ended
            trial.values = trial.values if record.get("values") is None else _numbers(record["values"])


def _add_attributes(trial: StoredTrial, attributes: dict[str, Any]) -> None:
    trial.user_attrs |= {key: value for key, value in attributes.items() if key in TRIAL_ATTRIBUTES}


def _add_constraints(trial: StoredTrial, attributes: dict[str, Any]) -> None:
    trial.is_feasible &= is_within([value for key, value in attributes.items() if key.startswith(CONSTRAINTS)])


def is_within(violations: list[Any]) -> bool:
    """Whether all violations, which are numbers or lists of them, are zero or less."""
    flat = [each for value in violations for each in (value if isinstance(value, list) else [value])]
    return all(isinstance(each, (int, float)) and each <= 0 for each in flat)
