"""Optuna's storage in a database, with quicker reading of trials and writing of values.

Optuna reads every parameter, attribute and step of a trial as an object of SQLAlchemy's, and writes each after reading
some. Here a few queries return their values. They know the tables of Optuna by their columns: where these differ,
Optuna's own operations are used.
"""

import json
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
    json_to_distribution,
)
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.utils.collection import paused_collection

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Table

#: The columns of Optuna's tables that the queries were written for.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "trials": ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"),
    "trial_values": ("trial_value_id", "trial_id", "objective", "value", "value_type"),
    "trial_params": ("param_id", "trial_id", "param_name", "param_value", "distribution_json"),
    "trial_user_attributes": ("trial_user_attribute_id", "trial_id", "key", "value_json"),
    "trial_system_attributes": ("trial_system_attribute_id", "trial_id", "key", "value_json"),
    "trial_intermediate_values": (
        *("trial_intermediate_value_id", "trial_id", "step"),
        *("intermediate_value", "intermediate_value_type"),
    ),
}
#: Trials whose values are read by one query, so that the rows of all trials are never in memory together.
_CHUNK = 500
#: Trials of all studies for each of one study, from which on they are named one by one.
_SPARSE = 4
#: What a number stands for by the name of its kind; FINITE is the number itself.
_SPECIAL = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}


class TrialDatabase(RDBStorage):
    """A database of Optuna's.

    A finished trial is read completely: its state is read before its values, and written after them.
    """

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Return trials by their IDs.

        Args:
            study_id: their study.
            states: only trials with these states; None = all.
            included_trial_ids: of trials up to the next argument.
            trial_id_greater_than: all trials with larger IDs are returned.

        Raises:
            KeyError: if there is no such study.
            StorageInternalError: if the database cannot be read.
        """
        if not has_known_tables():
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        from sqlalchemy.exc import SQLAlchemyError

        earlier = sorted(each for each in included_trial_ids if each <= trial_id_greater_than)
        try:
            with self.engine.connect() as connection, paused_collection():
                trials = _read_trials(connection, study_id, earlier, trial_id_greater_than)
        except SQLAlchemyError as error:
            raise StorageInternalError("the trials of a study cannot be read") from error
        return trials if states is None else [trial for trial in trials if trial.state in states]

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Store a value of a trial.

        Raises:
            KeyError: if there is no such trial.
            UpdateFinishedTrialError: if it is finished.
            ValueError: if an earlier trial has another kind of value by this name.
            StorageInternalError: if the database cannot be used.
        """
        if previous_distribution is None or not has_known_tables():
            super()._set_trial_param(trial_id, param_name, param_value_internal, distribution, previous_distribution)
            return
        from sqlalchemy import insert, select
        from sqlalchemy.exc import IntegrityError, SQLAlchemyError

        trials, parameters = _table("trials"), _table("trial_params")
        try:
            with self.engine.begin() as connection:
                state = connection.execute(select(trials.c.state).where(trials.c.trial_id == trial_id)).scalar()
                if state is None:
                    raise KeyError(f"no trial with the ID {trial_id}")
                self.check_trial_is_updatable(trial_id, state)
                check_distribution_compatibility(previous_distribution, distribution)
                connection.execute(
                    insert(parameters).values(
                        trial_id=trial_id,
                        param_name=param_name,
                        param_value=param_value_internal,
                        distribution_json=distribution_to_json(distribution),
                    )
                )
        except IntegrityError:
            return  # another process has stored it
        except SQLAlchemyError as error:
            raise StorageInternalError("a value of a trial cannot be stored") from error


@cache
def has_known_tables() -> bool:
    """Whether the installed Optuna has the tables that the queries were written for."""
    tables = models.BaseModel.metadata.tables
    return all(
        name in tables and sorted(column.name for column in tables[name].columns) == sorted(columns)
        for name, columns in _COLUMNS.items()
    )


def _table(name: str) -> "Table":
    found: Table = models.BaseModel.metadata.tables[name]
    return found


def _read_trials(connection: "Connection", study_id: int, earlier: Sequence[int], last: int) -> list[FrozenTrial]:
    """Read the trials of a study with some IDs, and those with larger IDs than the last one.

    Raises:
        KeyError: if there is no such study.
    """
    from sqlalchemy import select

    studies, trials = _table("studies"), _table("trials")
    if connection.execute(select(studies.c.study_id).where(studies.c.study_id == study_id)).first() is None:
        raise KeyError(f"no study with the ID {study_id}")
    columns = [trials.c[name] for name in _COLUMNS["trials"] if name != "study_id"]
    query = select(*columns).where(trials.c.study_id == study_id).order_by(trials.c.trial_id)
    rows: list[Row[Any]] = []
    for begin in range(0, len(earlier), _CHUNK):
        chosen = trials.c.trial_id.in_(earlier[begin : begin + _CHUNK])
        rows.extend(connection.execute(query.where(chosen)).all())
    rows.extend(connection.execute(query.where(trials.c.trial_id > last)).all())
    found = []
    for begin in range(0, len(rows), _CHUNK):
        found += _complete(connection, rows[begin : begin + _CHUNK])
    return found


def _complete(connection: "Connection", rows: "Sequence[Row[Any]]") -> list[FrozenTrial]:
    """Make trials from their rows, with their values, parameters, attributes and steps."""
    found = {row.trial_id: _make_trial(row) for row in rows}
    values: dict[int, dict[int, float]] = {}
    for key, objective, value, kind in _read(connection, "trial_values", found):
        values.setdefault(key, {})[objective] = _SPECIAL.get(kind, value)
    for key, of_trial in values.items():
        found[key].values = [of_trial[objective] for objective in sorted(of_trial)]
    for key, name, value, text in _read(connection, "trial_params", found, "param_id"):
        trial, name, distribution = found[key], sys.intern(name), _read_distribution(text)
        trial.params[name] = distribution.to_external_repr(value)
        trial.distributions[name] = distribution
    for key, name, text in _read(connection, "trial_user_attributes", found):
        found[key].user_attrs[sys.intern(name)] = json.loads(text)
    for key, name, text in _read(connection, "trial_system_attributes", found):
        found[key].system_attrs[sys.intern(name)] = json.loads(text)
    for key, step, value, kind in _read(connection, "trial_intermediate_values", found):
        found[key].intermediate_values[step] = _SPECIAL.get(kind, value)
    return list(found.values())


def _make_trial(row: "Row[Any]") -> FrozenTrial:
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        datetime_start=_to_local(row.datetime_start),
        datetime_complete=_to_local(row.datetime_complete),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=row.trial_id,
    )


def _read(
    connection: "Connection", name: str, found: Mapping[int, FrozenTrial], order: str | None = None
) -> Iterator[Any]:
    """Read the columns of a table but its own ID, for some trials by their IDs. The names of kinds are texts."""
    from sqlalchemy import String, select, type_coerce

    table = _table(name)
    columns = [table.c[column] for column in _COLUMNS[name][1:]]
    shown = [type_coerce(each, String) if each.name.endswith("_type") else each for each in columns]
    first, last = min(found), max(found)
    # A range is much quicker than a list, unless it has many trials of other studies.
    is_dense = last - first < _SPARSE * len(found)
    chosen = table.c.trial_id.between(first, last) if is_dense else table.c.trial_id.in_(list(found))
    query = select(*shown).where(chosen)
    rows = connection.execute(query if order is None else query.order_by(table.c[order])).all()
    return (row for row in rows if row[0] in found)


@cache
def _read_distribution(text: str) -> BaseDistribution:
    """Read a distribution; trials share it, because it never changes."""
    return json_to_distribution(text)


def _to_local(moment: datetime | None) -> datetime | None:
    """Convert a time in UTC to one of this machine, both without a time zone, as Optuna does."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
