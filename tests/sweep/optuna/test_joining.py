"""What a study records of its command for other machines, and what of it is obeyed there."""

import optuna
import pytest
from omegaconf import DictConfig, OmegaConf

from dcase_sweep import __version__
from dcase_sweep.config.resumed import words_of_study
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.sweep.optuna.attributes import COMMAND, RECORD
from dcase_sweep.sweep.optuna.joining import Joined, find_joined, get_record_id, joining, store_command
from dcase_sweep.utils.errors import UserError

HYDRA = [
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=9",
    "hydra.sweeper.storage=postgresql://me:hunter2@host/db",
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=gpu",
    "hydra.sweep.dir=runs",
]
TASK = [
    "model=cnn4",
    "model.dropout=interval(0,0.5)",
    "data.root=/data/tau",
    "tracking.uri=http://me:hunter2@host:5000",
]


def composed() -> DictConfig:
    sources = [
        {"provider": "main", "schema": "file", "path": "/package/conf"},
        {"provider": "command-line", "schema": "file", "path": "/home/me/conf"},
    ]
    hydra = {"overrides": {"hydra": HYDRA, "task": TASK}, "runtime": {"config_sources": sources}}
    return OmegaConf.create({"hydra": hydra})


@pytest.fixture
def study() -> optuna.Study:
    made = optuna.create_study()
    store_command(made, composed(), "mine.Application", {"n_trials": 9, "grace_period": 300.0})
    return made


def test_the_command_is_recorded_without_secrets_and_without_what_is_the_machines_own(study: optuna.Study) -> None:
    record = study.user_attrs[COMMAND]

    assert "hunter2" not in str(record)
    assert record["hydra"]["overrides"]["hydra"] == ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=9"]
    assert [each["path"] for each in record["hydra"]["runtime"]["config_sources"]] == ["/home/me/conf"]
    assert (record["version"], record["application"], record["n_trials"]) == (__version__, "mine.Application", 9)


def test_code_and_places_have_to_be_typed(study: optuna.Study) -> None:
    recorded = study.user_attrs[COMMAND]["hydra"]

    found = words_of_study("s", recorded, {"hydra.sweeper.n_trials"}, SearchPath())

    assert found.obeyed == ["hydra/sweeper=optuna", "model=cnn4", "model.dropout=interval(0,0.5)"]
    assert found.needed[:2] == ["--config-dir", "/home/me/conf"]
    assert [word.partition("=")[0].strip("'") for word in found.needed[2:]] == ["data.root", "tracking.uri"]
    typed = words_of_study("s", recorded, {"data.root", "tracking.uri"}, SearchPath("conf"))
    assert typed.needed == []


@pytest.mark.parametrize(
    "word", ["model._target_=os.system", "model.dropout=${oc.env:HOME}", "data.root=../../etc", "a.token=***"]
)
def test_a_record_of_somebody_else_names_no_code_and_no_place(word: str) -> None:
    found = words_of_study("s", {"overrides": {"hydra": [], "task": [word]}}, (), SearchPath())

    assert found.obeyed == []
    assert len(found.needed) == 1


@pytest.mark.parametrize("record", [None, [], {}, {"overrides": {"hydra": [1], "task": []}}, {"overrides": 1}])
def test_a_record_that_is_none_is_refused_in_one_line(record: object) -> None:
    with pytest.raises(UserError, match=r"^study s: .*expected "):
        words_of_study("s", record, (), SearchPath())


def test_an_id_of_a_record_is_no_override(study: optuna.Study) -> None:
    study.set_user_attr(RECORD, "0" * 32)
    assert get_record_id(study) == "0" * 32
    study.set_user_attr(RECORD, "${oc.env:HOME}")
    assert get_record_id(study) == ""


def test_a_search_is_joined_within_its_block_alone() -> None:
    joined = Joined("s", "join s", "report s")
    with joining(joined):
        assert find_joined() == joined
    assert find_joined() is None
