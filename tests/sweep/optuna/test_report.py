"""What is left of a search: its files, its figures, its best."""

import csv
import io
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.figures import draw, short_name
from dcase_sweep.sweep.optuna.report import best_trials, experiment_file, results, trials_csv
from dcase_sweep.utils.errors import UserError

METRICS = ["best/validation/accuracy"]


@pytest.fixture
def study() -> optuna.Study:
    """Five finished trials of two depths, one pruned, one rejected, one failed."""
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for number in range(8):
        trial = made.ask()
        depth = trial.suggest_int("model.depth", 2, 3)
        trial.suggest_float("model.dropout", 0, 0.5)
        if depth == 3:
            trial.suggest_categorical("model.blocks.2.pool", ["[1,1]", "[2,5]"])
        trial.set_user_attr(records.OVERRIDES, [f"model.depth={depth}", "data=tau2020", "optimizer.lr=0.01"])
        trial.report(number / 10, 0)
        if number == 5:
            made.tell(trial, state=TrialState.PRUNED)
        elif number == 6:
            trial.set_user_attr(records.REJECTED, "too large")
            made.tell(trial, state=TrialState.PRUNED)
        elif number == 7:
            records.fail(made, made.get_trials()[7], "OSError: disk")
        else:
            made.tell(trial, number / 10)
    return made


def test_the_best_is_named_as_hydras_own_plugin_names_it(study: optuna.Study) -> None:
    found = results(study, METRICS)

    assert found["best_trial"] == 4
    assert found["best_evaluated_value"] == 0.4
    assert found["best_evaluated_params"]["optimizer.lr"] == "0.01"
    assert found["trials"] == {"finished": 5, "pruned": 1, "rejected": 1, "failed": 1}


def test_the_best_becomes_an_experiment_of_groups_and_values(study: optuna.Study) -> None:
    (best,) = best_trials(study)

    text = experiment_file(study, best, ["model=cnn4", "training.epochs=3"], METRICS)

    assert text.splitlines()[0] == "# @package _global_"
    assert '  - override /model: "cnn4"' in text
    assert '  - override /data: "tau2020"' in text
    assert "training:\n  epochs: 3\n" in text
    assert "optimizer:\n  lr: 0.01\n" in text


@pytest.mark.parametrize(
    "override",
    [
        "model._target_=os.system",
        "+model.blocks.0._target_=os.system",
        "model.blocks=[{_target_:os.system}]",
        "optimizer.lr=${oc.env:SECRET}",
        "store.root=/etc",
        "tracking.uri=http://attacker",
        "hydra.sweep.dir=/etc",
        "optimizer.lr=0.1\nmodel._target_: os.system",
        "hydra/launcher=other",
        "no value",
        3,
    ],
)
def test_a_storage_is_not_trusted_to_name_code_or_places(study: optuna.Study, override: object) -> None:
    trial = study.ask()
    trial.set_user_attr(records.OVERRIDES, [override])
    study.tell(trial, 0.9)
    (best,) = best_trials(study)

    with pytest.raises(UserError, match=rf"^trial {best.number} of the storage has the override .* which no search"):
        experiment_file(study, best, [], METRICS)


def test_lists_and_groups_of_a_space_are_written(study: optuna.Study) -> None:
    trial = study.ask()
    trial.set_user_attr(records.OVERRIDES, ["model.pools=[[2,2],[2,1]]", "model=cnn4", "++optimizer.lr=1e-3"])
    study.tell(trial, 0.9)

    text = experiment_file(study, best_trials(study)[0], [], METRICS)

    assert 'override /model: "cnn4"' in text
    assert "lr: 0.001" in text


def test_a_best_on_demo_data_says_so(study: optuna.Study) -> None:
    note = "synthetic demo data: not representative of real recordings"
    trial = study.ask()
    trial.suggest_float("model.dropout", 0, 0.5)
    trial.set_user_attr(records.NOTE, note)
    study.tell(trial, 0.9)
    (best,) = best_trials(study)

    assert results(study, METRICS)["note"] == note
    assert f"# Note: {note}.\n" in experiment_file(study, best, [], METRICS)


def test_every_trial_has_a_row(study: optuna.Study) -> None:
    rows = list(csv.DictReader(io.StringIO(trials_csv(study, METRICS))))

    assert [row["state"] for row in rows][4:] == ["finished", "pruned", "rejected", "failed"]
    assert [row["note"] for row in rows][6:] == ["too large", "OSError: disk"]


def test_figures_are_drawn_and_none_of_nothing(study: optuna.Study, tmp_path: Path) -> None:
    names = {path.name for path in draw(study, tmp_path / "figures", METRICS)}

    assert names == {
        "history.png", "importance.png", "parallel_coordinate.png", "slice.png", "epochs.png", "search.html",
    }  # fmt: skip
    assert draw(optuna.create_study(), tmp_path / "none", METRICS) == []


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    made = optuna.create_study(directions=["maximize", "minimize"])
    for accuracy, size in ((0.5, 10), (0.6, 20), (0.4, 30)):
        trial = made.ask()
        trial.suggest_float("model.dropout", 0, 0.5)
        made.tell(trial, (accuracy, size))

    assert [solution["trial"] for solution in results(made, ["a", "b"])["solutions"]] == [0, 1]
    assert "pareto_front.png" in {path.name for path in draw(made, tmp_path, ["a", "b"])}


def test_names_are_short() -> None:
    assert short_name("model.blocks.1.pool") == "pool 1"
    assert short_name("optimizer.lr") == "lr"
