"""Stores of runs that cannot be used, runs that are not there, and passwords that must not be shown."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from tests.campaign.cases import Case

#: Ports of the local machine that nobody listens on.
_NOBODY = "127.0.0.1:9"


def _uri(name: str, uri: str, says: str) -> Case:
    """An address of a store, whose password must not be shown: what is printed must begin as here."""
    return Case(name, [f"tracking.uri='{uri}'"], rf"^error: tracking\.uri={says}")


def _folder_is_file(folder: Path) -> None:
    (folder / "taken").write_text("a file")


def _database_is(content: bytes) -> Any:
    def prepare(folder: Path) -> None:
        (folder / "other").mkdir()
        (folder / "other" / "mlflow.db").write_bytes(content)

    return prepare


def _database_is_folder(folder: Path) -> None:
    (folder / "other" / "mlflow.db").mkdir(parents=True)


def _database_is_fifo(folder: Path) -> None:
    (folder / "other").mkdir()
    os.mkfifo(folder / "other" / "mlflow.db")


def _database_of_something_else(folder: Path) -> None:
    (folder / "other").mkdir()
    with sqlite3.connect(folder / "other" / "mlflow.db") as database:
        database.execute("CREATE TABLE recipes (name)")


def _experiment_deleted(folder: Path) -> None:
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        database.execute(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage) "
            f"VALUES ('dcase_sweep', 'file://{folder}/mlruns/artifacts', 'deleted')"
        )


def _run_deleted(folder: Path) -> None:
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        database.execute(
            "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id, artifact_uri, start_time, "
            "source_type) VALUES (?, 'job', 'FINISHED', 'deleted', 0, 'file:///nowhere', 1, 'LOCAL')",
            ("a" * 32,),
        )


DRIVER = r"its driver is not installed: expected the Python package"
CASES = [
    _uri("postgresql-driver", "postgresql+pg8000://ann:pw@h/d", rf"postgresql.*ann:\*\*\*@h/d: {DRIVER} pg8000"),
    _uri("postgresql-driver-named", "postgresql+asyncpg://ann:pw@h/d", rf"postgresql.*:\*\*\*@h/d: {DRIVER} asyncpg"),
    _uri("mysql-driver", "mysql://ann:pw@host/db", rf"mysql://ann:\*\*\*@host/db: {DRIVER} MySQLdb"),
    _uri("mysql-driver-named", "mysql+aiomysql://ann:pw@host/db", rf"mysql\+aiomysql://ann:\*\*\*@.*{DRIVER} aiomysql"),
    _uri("mssql-driver", "mssql+pyodbc://ann:pw@host/db", rf"mssql\+pyodbc://ann:\*\*\*@host/db: {DRIVER} pyodbc"),
    _uri("mssql-connect", "mssql+pyodbc:///?odbc_connect=PWD%3Dpw", rf"mssql.*odbc_connect=\*\*\*: {DRIVER} pyodbc"),
    _uri("driver-nonsense", "postgresql+abc://ann:pw@host/db", r"postgresql\+abc://ann:\*\*\*@.*no such driver"),
    _uri("kind-oracle", "oracle://ann:pw@host/db", r"oracle://ann:\*\*\*@host/db: MLflow has no store of the kind"),
    _uri("kind-nonsense", "nonsense://ann:p@w@host", r"nonsense://ann:\*\*\*@host: MLflow has no store of the kind"),
    _uri("kind-s3", "s3://bucket/x?token=pw", r"s3://bucket/x\?token=\*\*\*: MLflow has no store of the kind 's3'"),
    _uri("kind-ftp", "ftp://ann:pw@host", r"ftp://ann:\*\*\*@host: MLflow has no store of the kind 'ftp'"),
    _uri("kind-misspelt", "htttp://host:5000", r"htttp://host:5000: MLflow has no store of the kind 'htttp'"),
    _uri("database-port", "postgresql://ann:pw@host:port/db", r"postgresql://ann:\*\*\*@.*not an address of a"),
    _uri("server-nobody", f"http://{_NOBODY}", rf"http://{_NOBODY}: no MLflow server answers there .*; start it"),
    _uri("server-password", f"http://ann:pw@{_NOBODY}", rf"http://ann:\*\*\*@{_NOBODY}: no MLflow server answers"),
    _uri("server-password-at", f"http://ann:p@w@{_NOBODY}", rf"http://ann:\*\*\*@{_NOBODY}: no MLflow server answers"),
    _uri("server-password-slash", f"http://ann:p/w@{_NOBODY}", rf"http://ann:\*\*\*@{_NOBODY}: no MLflow server"),
    _uri("server-token", f"http://pw@{_NOBODY}", rf"http://\*\*\*@{_NOBODY}: no MLflow server answers there"),
    _uri("server-query", f"http://{_NOBODY}/?password=pw", rf"http://{_NOBODY}/\?password=\*\*\*: no MLflow server"),
    _uri("server-masked", f"http://ann:***@{_NOBODY}", r"http://ann:\*\*\*@.*the password was replaced by"),
    _uri("server-name", "http://no-such-host.invalid:5000", r"http://no-such-host\.invalid:5000: no MLflow server"),
    _uri("server-port", "http://host:port", r"http://host:port: not a web address; expected http://HOST:PORT"),
    _uri("server-port-large", "http://host:99999", r"http://host:99999: not a web address; expected http://HOST:PORT"),
    _uri("server-no-host", "http://", r"http://: not a web address; expected http://HOST:PORT"),
    _uri("server-no-host-user", "https://ann:pw@", r"https://ann:\*\*\*@: not a web address; expected http://HOST:PORT"),
    _uri("server-blank", "http://my host:5000", r"http://my host:5000: not a web address; expected http://HOST:PORT"),
    _uri("sqlite-memory", "sqlite://", r"sqlite://: no file; expected sqlite:///FILE"),
    _uri("sqlite-memory-named", "sqlite:///:memory:", r"sqlite:///:memory:: no file; expected sqlite:///FILE"),
    _uri("sqlite-slash", "sqlite:/mlflow.db", r"sqlite:/mlflow\.db: no file; expected sqlite:///FILE"),
    _uri("file-store", "file:///tmp/runs", r"file:///tmp/runs: a folder of files, which MLflow no longer supports;"),
    _uri("folder-as-uri", "mlruns", r"mlruns: a folder of files, which MLflow no longer supports; expected sqlite"),
    Case(
        "server-environment",
        ["tracking=server"],
        rf"^error: tracking\.uri=http://ann:\*\*\*@{_NOBODY}: no MLflow server answers there",
        environment=(("MLFLOW_TRACKING_URI", f"http://ann:pw@{_NOBODY}"),),
    ),
    Case("parent-nope", ["tracking.parent=nope"], r"^error: tracking\.parent=nope: no such run in sqlite:.*; expected"),
    Case("parent-unknown", [f"tracking.parent={'0' * 32}"], r"^error: tracking\.parent=0{32}: no such run in sqlite"),
    Case("parent-quoted", ["tracking.parent=\"it's\""], r"^error: tracking\.parent=it's: no such run in sqlite:"),
    Case(
        "experiment-deleted",
        [],
        r"^error: tracking\.experiment=dcase_sweep: deleted in .* mlflow experiments restore --experiment-id \d+, or",
        prepare=_experiment_deleted,
    ),
    Case(
        "experiment-deleted-grid",
        ["-m", "seed=1,2"],
        r"^error: tracking\.experiment=dcase_sweep: deleted in .* mlflow experiments restore --experiment-id \d+, or",
        prepare=_experiment_deleted,
    ),
    Case("experiment-blank", ["tracking.experiment=' '"], r"^error: tracking\.experiment=' ': empty; expected a name"),
    Case("experiment-long", [f"tracking.experiment={'x' * 300}"], r"^error: tracking\.experiment='x+': expected a"),
    Case(
        "folder-is-file",
        ["tracking.folder=taken"],
        r"^error: taken/mlflow\.db: .*; set tracking\.folder to a folder to write to",
        prepare=_folder_is_file,
    ),
    Case(
        "folder-below-file",
        ["tracking.folder=taken/runs"],
        r"^error: taken/runs/mlflow\.db: Not a directory; set tracking\.folder to a folder to write to",
        prepare=_folder_is_file,
    ),
    Case("folder-system", ["tracking.folder=/proc/runs"], r"^error: tracking\.folder=/proc/runs: "),
    Case("folder-question-mark", ["tracking.folder='what?'"], r"^error: what\?: MLflow can use no path with"),
    Case(
        "database-text",
        ["tracking.folder=other"],
        r"^error: other/mlflow\.db: file is not a database; expected MLflow's SQLite database",
        prepare=_database_is(b"certainly not a database" * 100),
    ),
    Case(
        "database-cut",
        ["tracking.folder=other"],
        r"^error: other/mlflow\.db: (database disk image is malformed|file is not a database); expected MLflow's",
        prepare=_database_is(b"SQLite format 3\x00" + bytes(range(256)) * 4),
    ),
    Case(
        "database-folder",
        ["tracking.folder=other"],
        r"^error: other/mlflow\.db: a folder; expected MLflow's SQLite database",
        prepare=_database_is_folder,
    ),
    Case(
        "database-fifo",
        ["tracking.folder=other"],
        r"^error: other/mlflow\.db: not a regular file; expected MLflow's SQLite database",
        prepare=_database_is_fifo,
    ),
    Case(
        "database-other",
        ["tracking.folder=other"],
        r"^error: other/mlflow\.db: a database of another program \(its tables are recipes\)",
        prepare=_database_of_something_else,
    ),
    Case("runs-no-store", ["runs", "tracking.folder=nowhere"], r"^error: .*nowhere/mlflow\.db: no store of runs there"),
    Case("runs-key", ["runs", "seed=1"], r"^error: seed=1: expected tracking\.uri=VALUE or tracking\.folder=VALUE"),
    Case("runs-word", ["runs", "all"], r"^error: all: expected tracking\.uri=VALUE or tracking\.folder=VALUE"),
    Case("runs-limit", ["runs", "--limit", "0"], r"^error: --limit 0: expected a whole number of at least 1"),
    Case("runs-limit-text", ["runs", "--limit", "many"], r"^error: --limit many: expected a whole number"),
    Case(
        "runs-password",
        ["runs", "--close-dead", f"tracking.uri=http://ann:pw@{_NOBODY}"],
        rf"^error: tracking\.uri=http://ann:\*\*\*@{_NOBODY}: no MLflow server answers there",
    ),
    Case(
        "export-run-deleted",
        ["export", "onnx", f"run={'a' * 32}"],
        rf"^error: run={'a' * 32}: no such run in",
        prepare=_run_deleted,
    ),
]  # fmt: skip
