"""Runs that begin while their server is away."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from dcase_sweep.config import Tracking
from dcase_sweep.tracking import servers, starting
from dcase_sweep.tracking.starting import start_run
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.errors import UserError

RUN = "0" * 32


class Server:
    """MLflow's client of a server that does not answer at first.

    Attributes:
        away: number of calls without an answer.
        calls: the names of all calls.
    """

    def __init__(self, away: int) -> None:
        self.away = away
        self.calls: list[str] = []

    def _answer(self, name: str) -> SimpleNamespace:
        self.calls.append(name)
        self.away -= 1
        if self.away >= 0:
            raise MlflowException("API request to http://server:5000/api/2.0 failed with exception Connection refused")
        info = SimpleNamespace(
            **{"run_id": RUN, "run_name": "job", "artifact_uri": "", "lifecycle_stage": "active"},
            **{"experiment_id": "1", "status": "FAILED", "start_time": 0},
        )
        return SimpleNamespace(info=info, data=SimpleNamespace(metrics={"loss": 0.5}, params={}, tags={}))

    def create_run(self, *_: Any, **__: Any) -> SimpleNamespace:
        return self._answer("create")

    def get_run(self, *_: Any) -> SimpleNamespace:
        return self._answer("get")

    def update_run(self, *_: Any, **__: Any) -> SimpleNamespace:
        return self._answer("update")

    def get_metric_history(self, *_: Any) -> list[SimpleNamespace]:
        self._answer("history")
        return [SimpleNamespace(step=3)]

    def log_batch(self, *_: Any, **__: Any) -> None:
        self.calls.append("log")

    def set_terminated(self, *_: Any, **__: Any) -> None:
        self.calls.append("end")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Server]:
    """Make a server that leaves so many calls without an answer."""

    def make(away: int) -> Server:
        server = Server(away)
        monkeypatch.setattr(starting, "open_store", lambda _: Store(server, "http://server:5000", "1"))  # type: ignore[arg-type]
        monkeypatch.setattr(servers.time, "sleep", lambda _: None)
        return server

    return make


@pytest.mark.parametrize("resume_id", [None, RUN])
def test_a_run_begins_when_its_server_answers(
    serve: Callable[[int], Server], resume_id: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(2)

    run = start_run(Tracking(start_timeout=60, timeout=0), name="job", tags={}, resume_id=resume_id, folder=tmp_path)

    run.end("FINISHED")
    assert run.id == RUN
    assert server.calls[:3] == ["create" if resume_id is None else "get"] * 3
    waiting = [each.getMessage() for each in caplog.records if "waiting" in each.getMessage()]
    assert len(waiting) == 1
    assert waiting[0].startswith("tracking  waiting up to 60 s (tracking.start_timeout) to begin a run: ")


@pytest.mark.parametrize("resume_id", [None, RUN])
def test_a_run_waits_no_longer_than_configured(serve: Callable[[int], Server], resume_id: str | None) -> None:
    server = serve(99)

    with pytest.raises(UserError, match=r"the store of runs cannot be used: .*Connection refused$"):
        start_run(Tracking(start_timeout=0), name="job", tags={}, resume_id=resume_id)

    assert len(server.calls) == 1
