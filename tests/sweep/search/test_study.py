"""Studies: continued, refused, counted, recovered, never locked."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dcase_sweep.errors import UserError
from dcase_sweep.sweep.search import study as records
from dcase_sweep.sweep.search.study import Objective, Signature, open_storage, open_study

OBJECTIVE = Objective(("best/validation/accuracy",), ("maximize",))


def signature(**space: str) -> Signature:
    wanted = {"best/validation/accuracy": "maximize"}
    return Signature(space or {"model.depth": "2..5"}, wanted, {}, {"training.epochs": 2})


@pytest.fixture(params=["journal", "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "optuna.log") if request.param == "journal" else f"sqlite:///{tmp_path / 'optuna.db'}"


def opened(where: str, *, fresh: bool = False, **space: str) -> optuna.Study:
    return open_study(open_storage(where), "s", OBJECTIVE, signature(**space), fresh=fresh)  # type: ignore[no-any-return]


def finish(study: optuna.Study, value: float = 0.5) -> None:
    trial = records.ask(study, 1000)
    assert trial is not None
    trial.suggest_float("x", 0, 1)
    study.tell(trial, value)


def test_the_same_study_is_continued(where: str) -> None:
    finish(opened(where))

    again = opened(where)

    assert records.counts(again.get_trials()) == {"finished": 1}
    assert again.metric_names == ["best/validation/accuracy"]


def test_another_space_is_refused_with_the_difference_or_begun_beside_it(where: str) -> None:
    finish(opened(where))

    with pytest.raises(UserError, match=r"space model.depth: was 2..5, is 2..9; .*|was 2..5, is 2..9"):
        opened(where, **{"model.depth": "2..9"})

    fresh = opened(where, fresh=True, **{"model.depth": "2..9"})
    assert (fresh.study_name, len(fresh.get_trials())) == ("s.2", 0)
    assert opened(where, **{"model.depth": "2..9"}).study_name == "s.2"


def test_workers_that_ask_at_once_never_run_more_than_wanted(tmp_path: Path) -> None:
    where = str(tmp_path / "optuna.log")
    opened(where)

    def work(_: int) -> int:
        study = optuna.load_study(study_name="s", storage=open_storage(where))
        ran = 0
        while (trial := records.ask(study, 9)) is not None:
            time.sleep(0.01)
            study.tell(trial, 0.5)
            ran += 1
        return ran

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 9
    assert records.counts(opened(where).get_trials())["finished"] == 9


def test_rejected_and_failed_trials_do_not_count(tmp_path: Path) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    rejected, failed = study.ask(), study.ask()
    rejected.set_user_attr(records.REJECTED, "too large")
    study.tell(rejected, state=TrialState.PRUNED)
    records.fail(study, study.get_trials()[failed.number], "ValueError: no")

    finish(study)

    assert records.counts(study.get_trials()) == {"rejected": 1, "failed": 1, "finished": 1}
    assert records.ask(study, 1) is None


def test_a_trial_whose_process_is_gone_is_tried_once_more(tmp_path: Path) -> None:
    """And with the same values; the second time it is given up."""
    study = opened(str(tmp_path / "optuna.log"))
    for expected_retries in (1, 0):
        trial = records.ask(study, 100)
        assert trial is not None
        value = trial.suggest_float("x", 0, 1)
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        trial.set_user_attr(records.OWNER, trial.user_attrs[records.OWNER].rpartition(":")[0] + f":{gone.pid}")

        (closed,) = records.recover(study)

        assert records.kind(study.get_trials()[closed.number]) == "interrupted"
        waiting = study.get_trials(states=[TrialState.WAITING])
        assert len(waiting) == expected_retries
        if waiting:
            assert waiting[0].system_attrs["fixed_params"] == {"x": value}
            assert records.recover(study) == []


def test_a_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    assert records.ask(study, 1) is not None

    assert records.recover(study) == []
    assert records.counts(study.get_trials()) == {"running": 1}


def test_a_kill_while_writing_leaves_neither_lock_nor_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    finish(opened(str(path)))
    program = (
        "import sys, time; from filelock import FileLock\n"
        f"lock = FileLock({str(path) + '.lock'!r}); lock.acquire()\n"
        f"handle = open({str(path)!r}, 'a'); handle.write('{{\"op_code\": 5, \"wor'); handle.flush()\n"
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()

    study = optuna.load_study(study_name="s", storage=open_storage(str(path)))
    finish(study)

    assert records.counts(opened(str(path)).get_trials()) == {"finished": 2}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_the_disk_is_waited_for_when_a_trial_ends_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    waits: list[int] = []
    monkeypatch.setattr("os.fsync", waits.append)
    trial = records.ask(study, 1)
    assert trial is not None
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 0)

    assert waits == []
    study.tell(trial, 0.5)
    assert len(waits) == 1


def test_a_database_whose_driver_is_missing_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(UserError, match="the package psycopg; or name another driver") as refused:
        open_storage("postgresql://me:secret@localhost/optuna")
    assert "secret" not in str(refused.value)


def test_an_objective_is_pruned_by_the_metric_behind_best() -> None:
    assert OBJECTIVE.pruned_by == "validation/accuracy"
    assert Objective(("test/accuracy",), ("maximize",)).pruned_by is None
    assert Objective(("best/a", "complexity/parameters"), ("maximize", "minimize")).pruned_by is None
    with pytest.raises(UserError, match="expected maximize or minimize"):
        Objective.parse({"best/a": "max"})


@pytest.mark.parametrize(("direction", "number"), [("maximize", 1), ("minimize", 0)])
def test_of_equals_the_first_is_the_best(direction: str, number: int) -> None:
    study = optuna.create_study(direction=direction)
    for value in (0.1, 0.3, 0.3, 0.1):
        study.tell(study.ask(), value)

    best = records.best_of(reversed(study.get_trials()), direction)

    assert best is not None
    assert best.number == number
    assert records.best_of([], direction) is None
