"""What is known of a study is the same whether it was updated or found again from all trials."""

import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History, Repeated, take_known
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.space import make_space
from dcase_sweep.sweep.optuna.tally import Tally

STATES = ("ask", "ask", "enqueue", "finish", "finish", "prune", "reject", "fail", "interrupt", "surplus", "violate")


def change(study: optuna.Study, running: list[optuna.Trial], rng: random.Random) -> None:
    """Do one of the things that happen to a study."""
    what = rng.choice(STATES)
    if what == "enqueue":
        study.enqueue_trial({"a": "x", "b": rng.randrange(3)})
        return
    if what == "ask" or not running:
        trial = study.ask()
        trial.suggest_categorical("a", ["x", "y"])
        trial.suggest_int("b", 0, 2)
        running.append(trial)
        return
    trial = running.pop(rng.randrange(len(running)))
    if what in ("finish", "violate"):
        trial.set_constraint("size", 1.0 if what == "violate" else -1.0)
        study.tell(trial, rng.choice([0.25, 0.5, 0.75]))
    elif what in ("prune", "reject"):
        if what == "reject":
            trial.set_user_attr(records.REJECTED, "too large")
        study.tell(trial, state=TrialState.PRUNED)
    elif what == "surplus":
        records.set_aside(study, trial)
    else:
        records.fail(study, records.find_trial(study, trial), "gone", interrupted=what == "interrupt")


@pytest.fixture(params=["journal", "sqlite", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> BaseStorage:
    if request.param == "memory":
        return optuna.storages.InMemoryStorage()
    where = {"journal": str(tmp_path / "optuna.log"), "sqlite": f"sqlite:///{tmp_path}/optuna.db"}
    return records.open_storage(where[request.param])


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_updated_figures_are_those_of_all_trials(storage: BaseStorage, direction: str) -> None:
    study = optuna.create_study(storage=storage, direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))
    rng, running = random.Random(0), list[optuna.Trial]()
    tally, points = Tally(direction), list_points(make_space({"a": "x,y", "b": "range(0,3)"}, OverridesParser.create()))
    history = History(points)
    for step in range(80):
        change(study, running, rng)
        if step % 3:  # several changes may come at once
            continue
        trials = study.get_trials(deepcopy=False)
        tally.update(trials)

        best = records.find_best(trials, direction)
        assert +tally.counts == records.counts(trials)
        assert (tally.best and tally.best.number) == (best and best.number)
        assert sorted(tally.unfinished) == [each.number for each in trials if not each.state.is_finished()]
        for before in (None, len(trials) // 2):
            assert tally.missing(trials, 30, before) == records.missing(trials, 30, before)
        afresh = History(points)
        assert history.is_exhausted(trials) == (len(afresh.tried(trials)) == 6)
        assert set(history._tried) == afresh.tried(trials)
        assert history.count(trials) == afresh.count(trials)


def test_an_older_list_of_trials_changes_nothing() -> None:
    study = optuna.create_study()
    older = study.get_trials()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    tally = Tally("minimize")
    tally.update(study.get_trials())

    assert tally.update(older) == []
    assert tally.counts == {"finished": 1}


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_storage_lists_the_trials_that_optuna_finds(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "optuna")
    url = f"sqlite:///{path}"
    storage = records.open_storage(path if kind == "journal" else url)
    studies = [optuna.create_study(storage=storage, study_name=name) for name in ("a", "b")]
    rng, running = random.Random(1), [list[optuna.Trial](), list[optuna.Trial]()]
    wanted = [None, (TrialState.WAITING,), (TrialState.COMPLETE,), (TrialState.PRUNED, TrialState.RUNNING), ()]
    for step in range(40):
        change(studies[step % 2], running[step % 2], rng)
        if step % 3:
            continue
        other: Any = optuna.storages.RDBStorage(url) if kind == "sqlite" else None
        other = other or optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))
        for study in studies:
            for states in wanted:
                given: Any = {"deepcopy": False, "states": states}
                found = storage.get_all_trials(study._study_id, **given)
                assert found == other.get_all_trials(study._study_id, **given)
    first = studies[0]._study_id
    assert storage.get_all_trials(first)[0] is not storage.get_all_trials(first)[0]
    with pytest.raises(KeyError):
        studies[0]._storage.get_trial(999)


def test_what_an_earlier_command_has_trained_is_known(storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="s")
    first = study.ask()
    History(None).admit(study, first, ["a=x", "b=1"])
    study.tell(first, 0.5)

    again = study.ask()
    with pytest.raises(Repeated) as repeated:
        History(None).admit(study, again, ["b=1.0", "a=x"])
    take_known(study, again, repeated.value.earlier)

    assert [records.kind(trial) for trial in study.get_trials()] == ["finished", "repeated"]


def test_a_trial_that_is_not_readable_yet_does_not_move_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage: Any = records.open_storage(f"sqlite:///{tmp_path}/optuna.db")
    study = optuna.create_study(storage=storage)
    for value in (0.0, 1.0, 2.0, 3.0):
        study.add_trial(optuna.trial.create_trial(value=value))
    monkeypatch.setattr(storage, "_read_trials_from_remote_storage", lambda study_id: None)
    hidden = storage._studies[study._study_id].trials.pop(1)

    assert [trial.number for trial in study.get_trials()] == [0, 2, 3]

    storage._studies[study._study_id].trials[1] = hidden
    assert [trial.number for trial in study.get_trials()] == [0, 1, 2, 3]
