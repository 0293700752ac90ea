"""The studies of a database of Optuna's, by a few queries; its storage makes an object of every parameter."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dcase_sweep.sweep.optuna.outages import wait_for_database
from dcase_sweep.sweep.optuna.stored_journal import is_within
from dcase_sweep.sweep.optuna.stored_study import (
    CONSTRAINTS,
    METRIC_NAMES,
    STUDY_ATTRIBUTES,
    TRIAL_ATTRIBUTES,
    StoredStudy,
    StoredTrial,
)
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import encode_password, mask_secrets, mask_url
from dcase_sweep.utils.text import printable

#: Seconds to wait for an answer of a database.
_CONNECT = 10
#: Returns the rows of a query. The queries have no parameters but numbers, so that every driver understands them.
Query = Callable[[str], Sequence[Any]]
_INFINITE = {"INF_POS": float("inf"), "INF_NEG": float("-inf")}


def sqlite_file(where: str) -> Path | None:
    """Return the file of a SQLite URL; None for another database."""
    return Path(where.partition("://")[2].removeprefix("/").partition("?")[0]) if where.startswith("sqlite") else None


def read_database(where: str, name: str | None, *, waits: bool = False) -> list[StoredStudy]:
    """Read the studies of a database.

    Args:
        where: its URL.
        name: read the trials of this study alone.
        waits: whether a server that cannot be reached is waited for.

    Raises:
        UserError: if it cannot be read, or is not one of Optuna's.
    """
    file = sqlite_file(where)
    try:
        if file is None:
            return _read_server(where, name, waits=waits)
        with _open_sqlite(file) as query:
            return _read(query, name)
    except sqlite3.Error as error:
        raise UserError(f"{file}: {error}; expected a database of a search") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {printable(error, 80)}"
        raise UserError(f"{mask_url(where)}: its tables are not those of Optuna 3 to 5 ({reason})") from None


@contextmanager
def _open_sqlite(file: Path) -> Iterator[Query]:
    connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=_CONNECT)
    try:
        yield lambda query: connection.execute(query).fetchall()
    finally:
        connection.close()


def _read_server(where: str, name: str | None, *, waits: bool) -> list[StoredStudy]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    def read() -> list[StoredStudy]:
        with engine.connect() as connection:
            return _read(lambda query: connection.execute(text(query)).fetchall(), name)

    try:
        engine = create_engine(encode_password(where), poolclass=NullPool, connect_args={"connect_timeout": _CONNECT})
        return wait_for_database(read, where, is_known=False) if waits else read()
    except ImportError as error:
        raise UserError(f"{mask_url(where)}: its driver is not installed: expected {error.name}") from None
    except SQLAlchemyError as error:
        reason = printable(" ".join(str(getattr(error, "orig", None) or error).split()), 200)
        raise UserError(
            f"{mask_url(where)}: {mask_secrets(reason, where)}; expected a database of a search that can be reached"
        ) from None


def _read(query: Query, name: str | None) -> list[StoredStudy]:
    studies = {
        key: StoredStudy(each) for key, each in query("SELECT study_id, study_name FROM studies ORDER BY study_id")
    }
    chosen = [key for key, study in studies.items() if name is None or study.name == name]
    for key, direction in query("SELECT study_id, direction FROM study_directions ORDER BY study_id, objective"):
        studies[key].directions.append(str(direction).lower())
    for key, attribute, value in query(
        f"SELECT a.study_id, a.key, a.value_json FROM study_user_attributes a WHERE a.key IN {_list(STUDY_ATTRIBUTES)}"
    ):
        studies[key].user_attrs[attribute] = json.loads(value)
    for key, value in query(
        f"SELECT a.study_id, a.value_json FROM study_system_attributes a WHERE a.key = '{METRIC_NAMES}'"
    ):
        studies[key].metrics = [str(each) for each in json.loads(value)]
    if not chosen:
        return list(studies.values())
    trials = _read_trials(query, f"({', '.join(str(int(key)) for key in chosen)})")
    for key in chosen:
        studies[key].trials = sorted(trials[key], key=lambda trial: trial.number)
    return list(studies.values())


def _read_trials(query: Query, chosen: str) -> dict[int, list[StoredTrial]]:
    """Return the trials of some studies."""
    found: dict[int, list[StoredTrial]] = defaultdict(list)
    trials: dict[int, StoredTrial] = {}
    columns = "trial_id, study_id, number, state, datetime_start, datetime_complete"
    for key, study, number, state, started, ended in query(f"SELECT {columns} FROM trials WHERE study_id IN {chosen}"):
        trials[key] = StoredTrial(number, str(state), _seconds(started), _seconds(ended))
        found[study].append(trials[key])
    of_chosen = f"JOIN trials t ON t.trial_id = x.trial_id WHERE t.study_id IN {chosen}"
    for key, value, kind in query(
        f"SELECT x.trial_id, x.value, x.value_type FROM trial_values x {of_chosen} ORDER BY x.trial_id, x.objective"
    ):
        trials[key].values.append(_INFINITE.get(str(kind), value))
    for key, attribute, value in query(
        f"SELECT x.trial_id, x.key, x.value_json FROM trial_user_attributes x {of_chosen} "
        f"AND x.key IN {_list(TRIAL_ATTRIBUTES)}"
    ):
        trials[key].user_attrs[attribute] = json.loads(value)
    for key, value in query(
        f"SELECT x.trial_id, x.value_json FROM trial_system_attributes x {of_chosen} "
        f"AND SUBSTR(x.key, 1, {len(CONSTRAINTS)}) = '{CONSTRAINTS}'"
    ):
        trials[key].is_feasible &= is_within([json.loads(value)])
    return found


def _list(names: Sequence[str]) -> str:
    return "(" + ", ".join(f"'{name}'" for name in names) + ")"


def _seconds(value: datetime | str | None) -> float | None:
    """Convert a time in UTC, which SQLite returns as a text, to seconds since 1970."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC).timestamp()
