"""The results of a search: files, figures, best trials."""

import csv
import io
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.figures import draw, short_name
from dcase_sweep.sweep.optuna.report import describe_test, results, trials_csv

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


def test_a_note_on_a_trial_is_shown_with_the_results(study: optuna.Study) -> None:
    note = "synthetic demo data: not representative of real recordings"
    trial = study.ask()
    trial.suggest_float("model.dropout", 0, 0.5)
    trial.set_user_attr(records.NOTE, note)
    study.tell(trial, 0.9)

    assert results(study, METRICS)["note"] == note


def test_a_trial_that_breaks_a_constraint_is_not_the_best(study: optuna.Study) -> None:
    trial = study.ask()
    trial.suggest_float("model.dropout", 0, 0.5)
    trial.set_constraint("seconds", 0.5)
    study.tell(trial, 0.9)

    assert results(study, METRICS)["best_trial"] == 4


def test_the_best_is_shown_with_its_test_score(study: optuna.Study) -> None:
    trial = study.ask()
    stored = {"test/accuracy": 0.51234, "test/log_loss": 1.5, "best/validation/accuracy": 0.6, "test/note": "none"}
    trial.set_user_attr(records.METRICS, stored)
    study.tell(trial, 0.9)

    assert describe_test(study.best_trial, METRICS) == "accuracy 0.5123, log_loss 1.5"
    assert describe_test(study.best_trial, ["test/accuracy"]) == "log_loss 1.5"
    assert describe_test(study.trials[0], METRICS) == ""


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


def test_figures_speak_of_the_metric_and_not_of_optuna(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    before, drawn = dict(matplotlib.rcParams), {}
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, path, **k: drawn.update({path.stem: self}) or save(self, path, **k)
    )

    draw(study, tmp_path, METRICS)

    titles = {name: figure.get_suptitle() for name, figure in drawn.items()}
    assert titles == {
        "history": "Best validation accuracy of each trial",
        "importance": "Importance of each parameter for best validation accuracy",
        "parallel_coordinate": "Parameters of each trial and best validation accuracy",
        "slice": "Best validation accuracy over each parameter",
        "epochs": "Validation of each trial over its epochs",
    }
    places = ("left", "center", "right")
    assert not any(axes.get_title(loc) for figure in drawn.values() for axes in figure.axes for loc in places)
    history = drawn["history"].axes[0]
    assert (history.get_xlabel(), history.get_ylabel()) == ("trial", "best validation accuracy")
    assert [text.get_text() for text in history.get_legend().get_texts()][1] == "best so far"
    page = (tmp_path / "search.html").read_text()
    assert not any(stock in page for stock in ("History Plot", "Slice Plot", "Intermediate Value", "Hyperparameter"))
    assert dict(matplotlib.rcParams) == before  # Optuna's style does not stay


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
