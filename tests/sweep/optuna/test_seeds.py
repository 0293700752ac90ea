"""The setting of the seeds of a trial, and how their mean and spread are shown."""

import csv
import io
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.figures import draw
from dcase_sweep.sweep.optuna.progress_table import outcome
from dcase_sweep.sweep.optuna.report import describe_test, results, to_yaml, trials_csv
from dcase_sweep.sweep.optuna.seeds import average, check_fused, check_seeds, list_seeds
from dcase_sweep.sweep.optuna.signature import Objective, differences, make_signature
from dcase_sweep.utils.errors import UserError

METRICS = ["accuracy"]


@pytest.mark.parametrize("wanted", [1, 3, 100, [0, 7, 42], [3, 1]])
def test_a_number_of_seeds_or_a_list_is_accepted(wanted: Any) -> None:
    check_seeds(wanted)


@pytest.mark.parametrize("wanted", [0, -1, 101, 2.5, True, "3", None, [], [4], [1, 1], [1, -2], [1, "a"], {"a": 1}])
def test_anything_else_is_refused_in_one_line(wanted: Any) -> None:
    with pytest.raises(UserError, match=r"^hydra\.sweeper\.seeds=.*: expected a number of seeds from 1 to 100, or a l"):
        check_seeds(wanted)


def test_the_seeds_are_counted_from_the_configured_one() -> None:
    config = OmegaConf.create({"seed": 7})

    assert list_seeds(1, config, ["seed"]) == ()
    assert list_seeds(3, config) == (7, 8, 9)
    assert list_seeds([5, 2], config) == (5, 2)


@pytest.mark.parametrize(
    ("config", "varied", "message"),
    [
        ({"seed": 0}, ["seed"], "hydra.sweeper.seeds=3: the search varies seed itself; expected one of the two"),
        ({}, [], "hydra.sweeper.seeds=3: the configuration has no key seed"),
        ({"seed": None}, [], "hydra.sweeper.seeds=3: the seeds are counted from seed=None; expected a whole number"),
    ],
    ids=["varied", "no key", "null"],
)
def test_seeds_that_cannot_be_counted_are_refused(config: dict[str, Any], varied: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list_seeds(3, OmegaConf.create(config), varied)


def test_another_number_of_seeds_is_another_study() -> None:
    def sign(seeds: Any) -> dict[str, Any]:
        objective = Objective(("accuracy",), ("maximize",))
        return make_signature({}, {"x": "0 to 1"}, objective, {}, {}, seeds).plain()

    assert differences(sign(3), sign(3)) == []
    assert differences(sign(3), sign(1)) == ["hydra.sweeper.seeds: was 3, is 1"]
    assert differences(sign(1), sign([1, 2])) == ["hydra.sweeper.seeds: was 1, is [1, 2]"]
    assert "seeds" not in sign(1), "the signature of a search without seeds stays as it was"


def test_the_mean_has_the_metrics_that_all_seeds_have() -> None:
    means, spread = average([{"a": 1.0, "b": 2.0}, {"a": 3.0, "c": 1.0}, {"a": float("inf")}])

    assert means == {"a": float("inf")}
    assert spread == {}
    assert average([{"a": 1.0}, {"a": 3.0}])[1]["a"] == pytest.approx(2**0.5)


def make_study() -> optuna.Study:
    """A finished trial of two seeds, and a running one."""
    study = optuna.create_study(direction="maximize")
    study.set_metric_names(METRICS)
    for _ in range(2):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr(records.SEEDS, [0, 1])
        trial.set_user_attr(records.OVERRIDES, ["x=0.5"])
        trial.report(0.25, 0)
        if trial.number == 0:
            trial.set_user_attr(records.SPREAD, {"accuracy": 0.0123, "test/accuracy": 0.5})
            trial.set_user_attr(records.METRICS, {"accuracy": 0.5, "test/accuracy": 0.25})
            study.tell(trial, 0.5)
    return study


def test_a_trial_is_shown_with_its_spread_and_its_progress() -> None:
    study = make_study()
    running = study.get_trials()[1]

    assert outcome(study.get_trials()[0], METRICS) == "0.5 ± 0.012"
    assert outcome(running, METRICS) == "epoch 1: 0.25"
    running.user_attrs[records.SEED_STEP] = [2, 3]
    assert outcome(running, METRICS) == "seed 2 of 2, epoch 3"
    assert describe_test(study.get_trials()[0], METRICS) == "accuracy 0.25 ± 0.5"


def test_the_files_of_a_search_have_the_spread() -> None:
    study = make_study()

    found = yaml.safe_load(to_yaml(results(study, METRICS)))
    rows = list(csv.DictReader(io.StringIO(trials_csv(study, METRICS))))

    assert found["best_evaluated_value"] == 0.5
    assert found["best_evaluated_deviation"] == 0.0123
    assert found["seeds"] == [0, 1]
    assert [row["accuracy deviation"] for row in rows] == ["0.0123", ""]
    assert [row["epochs"] for row in rows] == ["1", "1"]


def test_the_files_of_a_search_without_seeds_have_no_spread() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=0.5))

    assert "deviation" not in trials_csv(study, METRICS)
    assert not {"seeds", "best_evaluated_deviation"} & results(study, METRICS).keys()


def test_the_spread_of_each_of_the_best_of_several_objectives_is_listed() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    trial = study.ask()
    trial.set_user_attr(records.SEEDS, [0, 1])
    trial.set_user_attr(records.SPREAD, {"accuracy": 0.1, "size": 0.0})
    study.tell(trial, [0.5, 2.0])

    (solution,) = results(study, ["accuracy", "size"])["solutions"]

    assert (solution["values"], solution["deviations"], solution["seeds"]) == ([0.5, 2.0], [0.1, 0.0], [0, 1])
    assert outcome(study.get_trials()[0], ["accuracy", "size"]) == "0.5 ± 0.1 / 2 ± 0"


def test_figures_show_the_spread_and_say_what_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, drawn = make_study(), {}
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, path, **k: drawn.update({path.stem: self}) or save(self, path, **k)
    )

    draw(study, tmp_path, METRICS)

    title = "Accuracy of each trial, mean and standard deviation over its seeds"
    assert drawn["history"].get_suptitle() == title
    assert drawn["epochs"].get_suptitle() == "Validation of each trial over its epochs, with its first seed"
    (lines,) = [each for each in drawn["history"].axes[0].collections if isinstance(each, LineCollection)]
    assert lines.get_segments()[0][:, 1] == pytest.approx([0.5 - 0.0123, 0.5 + 0.0123])
    page = (tmp_path / "search.html").read_text()
    assert '"error_y":{"array":[0.0123]' in page.replace(" ", "")


@pytest.mark.parametrize("fused", [0, 101, "all", True, None, 2.0])
def test_a_number_of_trainings_together_that_is_impossible_is_refused(fused: Any) -> None:
    with pytest.raises(UserError, match=rf"^hydra\.sweeper\.fused={fused}: expected a whole number from 1 to 100$"):
        check_fused(fused)
