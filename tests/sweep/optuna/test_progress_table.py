"""The progress table of a search."""

import io
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from rich.console import Console

from dcase_sweep.sweep.optuna.progress_table import ProgressTable, describe
from dcase_sweep.sweep.optuna.study import Objective


def drawn(width: int, *metrics: str) -> str:
    study = optuna.create_study(directions=["maximize"] * len(metrics))
    for value in (0.25, 0.5):
        trial = study.ask()
        trial.suggest_float("optimizer.lr", 1e-4, 1e-2)
        trial.suggest_categorical("model.pools", ["[[2,2],[2,2],[2,1],[2,1],[2,1],[2,1],[2,1]]"])
        if value < 0.5:
            study.tell(trial, [value] * len(metrics))
    objective = Objective(metrics, ("maximize",) * len(metrics))
    search_config: Any = SimpleNamespace(study="mean_teacher-crnn_meanteacher-demo", objective=objective, n_trials=2)
    console = Console(width=width, record=True, file=io.StringIO())
    live = ProgressTable(study, search_config)
    console.print(live._draw())
    return console.export_text()


@pytest.mark.parametrize("width", [80, 150])
def test_the_table_keeps_its_short_columns_however_long_the_metrics_names_are(width: int) -> None:
    text = drawn(width, "test/teacher/psds_score_scenario1", "test/teacher/psds_score_scenario2")

    assert "1 running, 1 finished; 2 wanted" in text
    (row,) = [line for line in text.splitlines() if "running" in line and "lr" in line]
    assert row.split()[:2] == ["1", "running"]
    assert max(map(len, text.splitlines())) <= width


def test_a_long_value_leaves_room_for_the_others() -> None:
    trial = optuna.create_study().ask()
    trial.suggest_categorical("model.pools", ["[[2,2],[2,2],[2,1],[2,1],[2,1],[2,1],[2,1]]"])
    trial.suggest_categorical("model.recurrent_units", ["64"])

    assert describe(trial.study.get_trials()[0]) == "pools [[2,2],[2,2],[2,1],…, recurrent_units 64"


def test_the_best_is_first() -> None:
    rows = [line.split() for line in drawn(100, "best/validation/accuracy").splitlines()]

    assert [row[:3] for row in rows if row and row[0] in "01"] == [["0", "best", "0.25"], ["1", "running", "0"]]


def test_the_configuration_of_the_best_is_whole_on_a_narrow_terminal() -> None:
    text = " ".join(drawn(80, "best/validation/accuracy").split())

    assert "best: lr 0.0" in text
    assert "pools [[2,2],[2,2],[2,1],…" in text.partition("best: ")[2]


def test_the_remaining_time_follows_from_the_trials_of_this_command() -> None:
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    search_config: Any = SimpleNamespace(study="s", objective=Objective(("a",), ("minimize",)), n_trials=4)
    live = ProgressTable(study, search_config)
    assert live.describe_remaining() == ""

    study.add_trial(optuna.trial.create_trial(value=1.0))
    live.began -= 60
    live.update()

    assert live.describe_remaining() == "; about 0:02:00 left"


@pytest.mark.parametrize("n_trials", [10, 1_200])
def test_the_number_of_a_trial_is_apart_from_its_value(n_trials: int, caplog: pytest.LogCaptureFixture) -> None:
    study = optuna.create_study()
    search_config: Any = SimpleNamespace(study="s", objective=Objective(("a",), ("minimize",)), n_trials=n_trials)
    live = ProgressTable(study, search_config)
    study.add_trials([optuna.trial.create_trial(value=0.5289) for _ in range(n_trials)])

    with caplog.at_level("INFO"):
        live.update()

    lines = [each.message for each in caplog.records if each.message.startswith("trial ")]
    assert len(lines) == n_trials
    assert lines[-1].split()[:3] == ["trial", str(n_trials - 1), "0.5289"]
    assert {line.index("0.5289") for line in lines} == {7 + max(3, len(str(n_trials)))}


def test_numbers_of_blocks_are_short_and_keys_with_the_same_last_part_are_told_apart() -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    trial.suggest_categorical("model.blocks.0.filters", ["8"])
    trial.suggest_float("model.blocks.0.dropout", 0.123456789, 0.123456789)
    trial.suggest_float("augmentation.mixup.alpha", 0.25, 0.25)
    trial.suggest_int("augmentation.freq_mixstyle.alpha", 3, 3)

    assert describe(trial.study.get_trials()[0]) == "mixup.alpha 0.25, freq_mixstyle.alpha 3, 8 0.1235"
