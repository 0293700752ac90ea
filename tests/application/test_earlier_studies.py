"""Studies that an earlier version began are continued."""

from dcase_sweep.application.experiments import Experiments
from dcase_sweep.config import flatten
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.sweep.optuna.signature import Objective, differences, make_signature
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
