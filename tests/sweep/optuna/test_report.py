"""The results of a search: files, figures, best trials."""

import csv
import io
import itertools
import random
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dcase_sweep.sweep.optuna import figures
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.figure_sample import sample
from dcase_sweep.sweep.optuna.figures import draw, short_name
from dcase_sweep.sweep.optuna.report import describe_test, find_marks, results, trials_csv

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


def test_figures_of_a_long_search_show_a_part_of_it_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(direction="maximize")
    for number in range(60):
        finished = optuna.trial.create_trial(
            value=number % 7 + (100 if number == 41 else 0),
            params={"a": number / 60, "b": number},
            distributions={
                "a": optuna.distributions.FloatDistribution(0, 1),
                "b": optuna.distributions.IntDistribution(0, 60),
            },
        )
        study.add_trial(finished)
    titles: list[str] = []
    dress = figures.dress_interactive
    monkeypatch.setattr(figures, "sample", lambda trials, directions: sample(trials, directions, 20))
    monkeypatch.setattr(figures, "dress_interactive", lambda drawn, w: titles.append(w.title) or dress(drawn, w))

    paths = draw(study, tmp_path, METRICS)

    assert {"history.png", "importance.png", "slice.png", "search.html"} <= {path.name for path in paths}
    assert titles
    assert all(title.endswith(" (20 of 60 trials)") for title in titles)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_part_of_the_trials_has_every_best_so_far(direction: str) -> None:
    rng = random.Random(0)
    sign = 1 if direction == "maximize" else -1
    values = [rng.random() for _ in range(300)]
    trials = [
        optuna.trial.FrozenTrial(number, TrialState.COMPLETE, value, None, None, {}, {}, {}, {}, {}, number)
        for number, value in enumerate(values)
    ]

    found = sample(trials, [direction], 50)

    bests = {n for n, value in enumerate(values) if all(sign * value > sign * other for other in values[:n])}
    assert len(found) == 50
    assert bests <= found
    assert max(b - a for a, b in itertools.pairwise(sorted(found))) < 20
    assert sample(trials[:50], [direction], 50) == set(range(50))


def test_only_marks_that_change_are_written() -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(records.MARKED, [])
    for value in (0.1, 0.3, 0.2):
        trial = made.ask()
        trial.set_user_attr(records.RUN, f"run-{value}")
        made.tell(trial, value)

    assert find_marks(made, [1]) == {"run-0.3": True}
    assert find_marks(made, [2]) == {"run-0.3": False, "run-0.2": True}
    assert find_marks(made, [2]) == {"run-0.2": True}


def test_all_runs_of_a_search_of_an_earlier_version_are_marked(study: optuna.Study) -> None:
    trial = study.ask()
    trial.set_user_attr(records.RUN, "run")
    study.tell(trial, 0.1)

    assert find_marks(study, []) == {"run": False}
    assert find_marks(study, []) == {}


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    made = optuna.create_study(directions=["maximize", "minimize"])
    for accuracy, size in ((0.5, 10), (0.6, 20), (0.4, 30)):
        trial = made.ask()
        trial.suggest_float("model.dropout", 0, 0.5)
        made.tell(trial, (accuracy, size))

    assert [solution["trial"] for solution in results(made, ["a", "b"])["solutions"]] == [0, 1]
    assert "pareto_front.png" in {path.name for path in draw(made, tmp_path, ["a", "b"])}


def test_parameters_with_the_same_last_part_are_all_drawn(tmp_path: Path) -> None:
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for value in (0.1, 0.4, 0.2):
        trial = made.ask()
        trial.suggest_float("augmentation.mixup.alpha", 0, 0.5)
        trial.suggest_categorical("augmentation.freq_mixstyle.alpha", ["1", "2"])
        made.tell(trial, value)

    draw(made, tmp_path, ["accuracy"])

    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert "augmentation.mixup.alpha" in page
    assert "augmentation.freq_mixstyle.alpha" in page


def test_names_are_short() -> None:
    assert short_name("model.blocks.1.pool") == "pool 1"
    assert short_name("optimizer.lr") == "lr"
