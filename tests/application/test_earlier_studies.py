"""Studies that an earlier version began are continued."""

from pathlib import Path

from dcase_sweep.application.experiments import Experiments
from dcase_sweep.config import flatten
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.sweep.optuna.opening import open_study
from dcase_sweep.sweep.optuna.signature import Objective, differences, make_signature
from dcase_sweep.sweep.optuna.storage import open_storage
from dcase_sweep.training.resume import comparable
from tests.earlier import WORDS, read_earlier


def test_the_same_words_continue_a_study_of_an_earlier_version() -> None:
    study = read_earlier("study")
    (composed,) = compose_experiments(WORDS["study"])
    objective = Objective(tuple(study["objective"]), tuple(study["objective"].values()))

    now = make_signature(comparable(flatten(composed.experiment)), study["space"], objective, study["limits"], {})
    then = {**study, "configuration": Experiments().rename_stored(study["configuration"])}

    assert differences(then, now.plain()) == []


def test_other_words_do_not() -> None:
    study = read_earlier("study")
    (composed,) = compose_experiments([*WORDS["study"], "optimizer.lr=0.01"])
    objective = Objective(tuple(study["objective"]), tuple(study["objective"].values()))

    now = make_signature(comparable(flatten(composed.experiment)), study["space"], objective, study["limits"], {})
    then = {**study, "configuration": Experiments().rename_stored(study["configuration"])}

    assert differences(then, now.plain()) == ["configuration optimizer.lr: was 0.001, is 0.01"]


def test_a_study_that_varies_the_class_of_the_optimizer_is_not_taken_for_an_earlier_one(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "optuna.log"))
    (composed,) = compose_experiments(["model=cnn4"])
    objective = Objective(("best/validation/accuracy",), ("maximize",))
    space = {"optimizer._target_": "choice", "model.dropout": "interval", "model.blocks.*.filters": "choice"}
    signature = make_signature(comparable(flatten(composed.experiment)), space, objective, {}, {})

    for _ in range(2):
        study = open_study(storage, "s", objective, signature, fresh=False, rename=Experiments().rename_stored)

        assert study.study_name == "s"
