"""A password that is put wherever an address can be is written nowhere, and a password file needs none."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dcase_sweep.sweep.optuna.study import open_storage
from tests.conftest import CommandLine
from tests.engines import mariadb, postgresql
from tests.engines.postgresql import PASSWORD, PostgreSQL
from tests.integration.test_passwords import files_under

SECRET = "hunter2"
SPACE = ("search=scene_cnn", "hydra.sweeper.n_trials=2", "hydra.sweeper.workers=2")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    if postgresql.find_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql.start_postgresql() as server:
        ask(server, "postgres", "CREATE DATABASE runs")
        yield server


def ask(server: PostgreSQL, database: str, statement: str) -> str:
    os.environ["PGPASSWORD"] = PASSWORD
    try:
        words = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", database, "-At", "-c", statement]
        return server.run("psql", *words)
    finally:
        del os.environ["PGPASSWORD"]


def dump(server: PostgreSQL, database: str) -> str:
    """All that a database holds, as text."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    tables = ask(server, database, query).split()
    return "".join(ask(server, database, f'SELECT * FROM "{table}"') for table in tables)


@pytest.mark.minutes
def test_a_password_is_written_nowhere(
    server: PostgreSQL, command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    host = f"127.0.0.1:{server.port}"
    runs = f"tracking.uri='postgresql://postgres:{PASSWORD}@{host}/runs'"
    as_parameter = f"postgresql://postgres@{host}/postgres?password={quote(PASSWORD, safe='')}&sslpassword={SECRET}"
    storage = f"hydra.sweeper.storage='{as_parameter}'"
    others = ["+hydra.job.env_set={ANY_PASSWORD:hunter2,ANY_URL:'http://ann:hunter2@host'}"]
    others += ["+tracking.tags={page:'http://ann:hunter2@host/?token=hunter2'}"]
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]

    process = command_line.start(*tiny(runs, *others, "training.epochs=40"))
    while not list(command_line.folder.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    outputs = [process.communicate(timeout=120)[0]]
    assert "to continue: " in outputs[0]
    short = "training.epochs=1"
    outputs.append(command_line("-m", *tiny(runs, *others, short, "seed=1,2", *joblib)))
    outputs.append(command_line("-m", *tiny(runs, *others, short, storage, *SPACE)))
    more = "hydra.sweeper.n_trials=3"
    outputs.append(
        command_line("-m", *tiny(runs, *others, short, storage, *SPACE, more, "hydra/launcher=submitit_local"))
    )
    outputs.append(command_line("--cfg", "all", *tiny(runs, *others, storage, *SPACE)))
    outputs.append(command_line("runs", runs.replace("'", "")))
    wrong = [each.replace(host, "127.0.0.1:9") for each in (runs, storage)]
    outputs.append(command_line(*tiny(wrong[0], *others), code=1))
    outputs.append(command_line("-m", *tiny(runs, *others, wrong[1], *SPACE), code=1))
    refused = f"hydra.sweeper.storage=postgresql://postgres:{SECRET}@{host}/postgres"
    outputs.append(command_line("-m", *tiny(runs, refused, *SPACE), code=1))

    shown = "".join(outputs)
    assert f"postgresql://postgres:***@{host}/runs" in shown
    assert re.search(
        r"storage   postgresql://postgres@127.0.0.1:\d+/postgres\?password=\*\*\*&sslpassword=\*\*\*", shown
    )
    assert SECRET not in shown
    written = files_under(command_line.folder)
    names = {path.name for path in written}
    assert {"multirun.yaml", "overrides.yaml", "hydra.yaml", "config.yaml", "last.ckpt"} <= names
    holding = [path for path in written if SECRET.encode() in path.read_bytes()]
    stored = [path for path in holding if ".submitit" in path.parts]
    assert stored, "submitit stores its jobs otherwise now"
    assert all(path.parents[1].stat().st_mode & 0o077 == 0 for path in stored)
    assert re.search(r"what is secret in .*hydra\.sweeper\.storage, .*tracking\.uri; only you can read it", shown)
    assert holding == stored
    for database in ("postgres", "runs"):
        content = dump(server, database)
        assert "***" in content or database == "postgres"
        assert SECRET not in content


def test_a_password_file_of_postgresql_is_read(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{server.port}:*:postgres:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))

    assert open_storage(f"postgresql://postgres@127.0.0.1:{server.port}/postgres").get_all_studies() is not None


@pytest.mark.minutes
def test_an_option_file_of_mysql_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pymysql", reason="the driver of MariaDB is not installed")
    if mariadb.find_binaries() is None:
        pytest.skip("MariaDB is not installed")
    file = tmp_path / "my.cnf"
    file.write_text(f"[client]\npassword = {PASSWORD}\n")
    with mariadb.start_mariadb() as server:
        url = f"mysql+pymysql://optuna@127.0.0.1:{server.port}/optuna?read_default_file={file}"

        assert open_storage(url).get_all_studies() == []
