"""The state of searches on a database server is read by a few queries, not by Optuna."""

import pytest

from dcase_sweep.sweep.optuna.stored import read_studies
from dcase_sweep.utils.errors import UserError
from tests.engines.postgresql import PASSWORD, find_binaries, start_postgresql
from tests.sweep.optuna.test_stored import compare, fill

pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed: pip install 'psycopg[binary]'")
if find_binaries() is None:
    pytest.skip("PostgreSQL is not installed", allow_module_level=True)


def test_studies_of_postgresql_are_those_of_optuna() -> None:
    with start_postgresql() as server:
        with pytest.raises(UserError, match=r"studies.*; expected a database of a search that can be reached"):
            read_studies(server.url)
        fill(server.url)
        compare(server.url)
        server.stop()

        with pytest.raises(UserError, match=r"postgresql://postgres:\*\*\*@127\.0\.0\.1:\d+/postgres: ") as found:
            read_studies(server.url)
    assert PASSWORD not in str(found.value)
