"""Studies: continued, rejected, counted, recovered, never locked."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.opening import claim_worker_number, open_study
from dcase_sweep.sweep.optuna.study import Objective, Signature, open_storage
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.processes import ProcessIdentity, this_process

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


def test_each_worker_has_a_number_of_its_own_on_any_machine(where: str) -> None:
    opened(where)

    def claim(_: int) -> int:
        return claim_worker_number(optuna.load_study(study_name="s", storage=open_storage(where)))

    with ThreadPoolExecutor(4) as machines:
        numbers = sorted(machines.map(claim, range(8)))

    assert numbers == [*range(8)]
    assert claim(0) == 8, "a continued study goes on counting"


def test_another_space_is_rejected_with_the_difference_or_a_new_study_is_started(where: str) -> None:
    finish(opened(where))

    with pytest.raises(UserError, match=r"space model.depth: was 2..5, is 2..9; .*|was 2..5, is 2..9"):
        opened(where, **{"model.depth": "2..9"})

    fresh = opened(where, fresh=True, **{"model.depth": "2..9"})
    assert (fresh.study_name, len(fresh.get_trials())) == ("s.2", 0)
    assert opened(where, **{"model.depth": "2..9"}).study_name == "s.2"


def test_a_study_is_not_continued_with_other_source_of_a_component(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "optuna.log"))
    before = replace(signature(), sources={"lab": "1a"})
    open_study(storage, "s", OBJECTIVE, before, fresh=False)

    assert open_study(storage, "s", OBJECTIVE, before, fresh=False).study_name == "s"
    with pytest.raises(UserError, match="the source of lab has changed"):
        open_study(storage, "s", OBJECTIVE, replace(before, sources={"lab": "2b"}), fresh=False)


def test_a_study_of_before_sources_were_noted_goes_on(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "optuna.log"))
    study = open_study(storage, "s", OBJECTIVE, signature(), fresh=False)
    earlier = {part: value for part, value in signature().plain().items() if part != "sources"}
    study.set_user_attr(records.SIGNATURE, earlier)

    assert open_study(storage, "s", OBJECTIVE, signature(), fresh=False).study_name == "s"


def test_workers_that_ask_simultaneously_never_run_more_trials_than_wanted(tmp_path: Path) -> None:
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


def interrupt(study: optuna.Study, epochs: int = 0) -> int:
    """A trial whose process has ended; returns its number."""
    trial = records.ask(study, 100)
    assert trial is not None
    trial.suggest_float("x", 0, 1)
    for epoch in range(epochs):
        trial.report(0.1, epoch)
    trial.set_user_attr(records.OWNER, str(gone()))
    return trial.number


def gone() -> ProcessIdentity:
    """A process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    identity = replace(this_process(), number=process.pid)
    process.wait()
    return identity


def test_a_trial_whose_process_is_gone_is_tried_again_as_often_as_it_is_interrupted(where: str) -> None:
    """The trial is retried with the same values, without a new suggestion of the sampler."""
    study = opened(where)
    first = interrupt(study)
    for number in (first, first + 1, first + 2):
        (closed,) = records.recover(study)

        assert closed.number == number
        (waiting,) = study.get_trials(states=[TrialState.WAITING])
        assert waiting.system_attrs["fixed_params"] == study.get_trials()[first].params
        assert waiting.user_attrs[records.RETRY_OF] == number
        assert records.recover(study) == []
        assert interrupt(study) == waiting.number


def test_retries_have_a_limit_where_one_is_set(tmp_path: Path) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    interrupt(study)
    records.recover(study, 1)
    interrupt(study)
    records.recover(study, 1)

    assert records.counts(study.get_trials()) == {"interrupted": 2}
    assert records.recover(study, 0) == []
    records.recover(study, 2)
    assert records.counts(study.get_trials())["waiting"] == 1


def test_a_trial_that_is_killed_before_anything_was_sampled_again_keeps_its_values(tmp_path: Path) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    interrupt(study)
    records.recover(study)
    again = records.ask(study, 100)
    assert again is not None
    again.set_user_attr(records.OWNER, str(gone()))

    records.recover(study)

    (waiting,) = study.get_trials(states=[TrialState.WAITING])
    assert waiting.system_attrs["fixed_params"] == study.get_trials()[0].params
    assert [trial.number for trial in records.tries(study.get_trials(), waiting)] == [2, 1, 0]


def test_two_commands_that_take_over_at_once_try_a_trial_again_once(where: str) -> None:
    study = opened(where)
    for _ in range(3):
        interrupt(study)

    with ThreadPoolExecutor(6) as pool:
        closed = list(pool.map(lambda _: records.recover(opened_again(where)), range(6)))

    assert sum(map(len, closed)) == 3
    assert records.counts(study.get_trials()) == {"interrupted": 3, "waiting": 3}


def opened_again(where: str) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=open_storage(where))


def test_a_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    study = opened(str(tmp_path / "optuna.log"))
    assert records.ask(study, 1) is not None

    assert records.recover(study) == []
    assert records.counts(study.get_trials()) == {"running": 1}


@pytest.mark.parametrize(("direction", "number"), [("maximize", 1), ("minimize", 0)])
def test_the_first_of_equal_trials_is_the_best(direction: str, number: int) -> None:
    study = optuna.create_study(direction=direction)
    for value in (0.1, 0.3, 0.3, 0.1):
        study.tell(study.ask(), value)

    best = records.find_best(reversed(study.get_trials()), direction)

    assert best is not None
    assert best.number == number
    assert records.find_best([], direction) is None
