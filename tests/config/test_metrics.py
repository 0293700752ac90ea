"""The configuration group ``metrics``."""

from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.config import build_metrics, get_monitor, get_objective
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.evaluation.metrics import try_metrics
from dcase_sweep.tasks.columns import list_columns
from dcase_sweep.utils.errors import UserError

OWN = """
import torch

def share_of_class(scores, targets, index):
    return float((scores.argmax(axis=1) == index).mean())

def cost(scores, targets):
    return 1 - float((scores.argmax(axis=1) == targets).mean())

cost.larger_is_better = False

class Constant:
    def __init__(self, value: float = 3.0):
        self.value = value

    def __call__(self, scores, targets):
        return self.value

number = 3


class Both:
    larger_is_better = False

    def __call__(self, scores, targets):
        return {"low": 0.1, "high": 0.9}


def hits(scores: torch.Tensor, targets: torch.Tensor, power: float = 1.0):
    return (scores.argmax(1) == targets).float().mean() ** power
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


def experiment(*words: str):  # type: ignore[no-untyped-def]
    return compose_experiments(list(words))[0].experiment


def test_several_are_chosen_by_their_names() -> None:
    chosen = experiment("metrics=[macro_f1,cohen_kappa]", "metrics.macro_f1.threshold=0.4")

    metrics = build_metrics(chosen)

    assert list(metrics) == ["macro_f1", "cohen_kappa"]
    assert metrics["macro_f1"].threshold == 0.4
    columns = list_columns(chosen, ["test/f1", "test/macro_f1", "test/cohen_kappa"])
    assert [column.title for column in columns][2:4] == ["macro f1", "cohen kappa"]


def test_each_value_of_a_metric_is_a_column_of_the_comparison() -> None:
    of_events = experiment("task=4", "metrics=macro_f1", "+metrics.macro._target_=own_metrics.Both")
    values = [f"test/{which}/{each}" for which in ("student", "teacher") for each in ("macro_f1", "macro_low")]

    extra = [
        column
        for column in list_columns(of_events, ["test/teacher/event_f1_macro", *values])
        if column.metric in values
    ]

    assert [column.title for column in extra] == [
        "student macro f1",
        "teacher macro f1",
        "student macro low",
        "teacher macro low",
    ]


def test_the_columns_of_the_test_and_of_the_best_epoch_have_different_titles() -> None:
    chosen = experiment("metrics=macro_f1", "task.monitor=validation/macro_f1")

    titles = [column.title for column in list_columns(chosen, ["test/macro_f1"])]

    assert {"macro f1", "validation macro f1"} <= {*titles}
    assert len({*titles}) == len(titles)


def test_a_value_of_a_metric_with_several_has_its_direction() -> None:
    chosen = experiment("+metrics.both._target_=own_metrics.Both", "task.monitor=validation/both_low")

    assert get_monitor(chosen).mode == "min"
    assert get_objective(chosen) == {"best/validation/both_low": "minimize"}


def test_a_function_and_a_class_of_the_users_own() -> None:
    metrics = build_metrics(
        experiment(
            "metrics=macro_f1",
            "+metrics.third._target_=own_metrics.share_of_class",
            "+metrics.third.index=2",
            "+metrics.mine._target_=own_metrics.Constant",
        )
    )

    scores = np.eye(4)[[0, 2, 2, 1]]
    assert metrics["third"](scores, np.zeros(4)) == 0.5
    assert metrics["mine"](scores, np.zeros(4)) == 3.0


SCORES, TARGETS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("{_target_:torchmetrics.Accuracy,task:multiclass,num_classes:3,average:micro}", 0.75),
        ("{_target_:torchmetrics.functional.classification.multiclass_accuracy,num_classes:3,average:micro}", 0.75),
        ("{_target_:own_metrics.hits,power:2}", 0.5625),
        (
            "{_target_:torchmetrics.MetricCollection,"
            "metrics:[{_target_:torchmetrics.classification.MulticlassAccuracy,num_classes:3,average:micro}]}",
            {"MulticlassAccuracy": 0.75},
        ),
    ],
)
def test_metrics_of_torchmetrics_and_functions_of_tensors(entry: str, value: object) -> None:
    (metric,) = build_metrics(experiment(f"+metrics.mine={entry}")).values()

    assert metric(SCORES, TARGETS) == value
    assert metric(SCORES, TARGETS) == value  # nothing is left of the first call


def test_a_column_of_a_task_says_which_direction_is_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_counting.py").write_text(
        "from dcase_sweep.result import Column\n"
        "from dcase_sweep.tasks.scene_classification import SceneClassification\n"
        "class Counting(SceneClassification):\n"
        "    monitor = 'validation/mae'\n"
        "    columns = (Column('test/mae', 'MAE', larger_is_better=False), Column('test/right', 'right'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = experiment("task._target_=own_counting.Counting")

    assert (get_monitor(own).metric, get_monitor(own).mode) == ("validation/mae", "min")
    assert get_objective(own) == {"best/validation/mae": "minimize"}
    assert get_monitor(experiment("task._target_=own_counting.Counting", "task.monitor=validation/right")).mode == "max"


def test_torchmetrics_say_which_direction_is_better() -> None:
    error = "{_target_:torchmetrics.classification.MulticlassCalibrationError,num_classes:10}"
    chosen = experiment(f"+metrics.calibration={error}", "task.monitor=validation/calibration")

    assert get_monitor(chosen).mode == "min"


def test_a_metric_with_a_value_for_each_class_is_refused_with_what_to_do() -> None:
    metric = "{_target_:torchmetrics.classification.MulticlassAccuracy,num_classes:3,average:none}"

    with pytest.raises(UserError, match=r"^metrics\.mine: returned 3 values; expected one number, for example with"):
        try_metrics(build_metrics(experiment(f"+metrics.mine={metric}")), TARGETS, 3)


def test_the_monitored_metric_may_be_an_extra_one_with_its_own_direction() -> None:
    assert get_objective(experiment()) == {"best/validation/accuracy": "maximize"}
    assert get_objective(experiment("task.monitor=validation/loss")) == {"best/validation/loss": "minimize"}
    own = experiment("+metrics.cost._target_=own_metrics.cost", "task.monitor=validation/cost")
    assert (get_monitor(own).metric, get_monitor(own).mode) == ("validation/cost", "min")
    assert get_objective(own) == {"best/validation/cost": "minimize"}
    assert get_monitor(experiment("task.monitor=validation/loss", "task.mode=max")).mode == "max"
    assert get_objective(experiment("task.objective=test/log_loss")) == {"test/log_loss": "minimize"}


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("complexity/parameters", "minimize"),
        ("complexity/mmac_per_clip", "minimize"),
        ("complexity/within_128_kb", "maximize"),
        ("energy/training_kwh", "minimize"),
        ("time/training_seconds", "minimize"),
        ("compression/accuracy_lost", "minimize"),
        ("compression/accuracy_after", "maximize"),
        ("test/student/collar_error_rate", "minimize"),
    ],
)
def test_costs_and_errors_are_minimized(metric: str, direction: str) -> None:
    assert get_objective(experiment(f"task.objective={metric}")) == {metric: direction}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["metrics=macro_f2"], "metrics=macro_f2: no such choice; did you mean metrics=macro_f1?"),
        (["metrics=macro_f1", "metrics.macro_f1.threshold=2"], "metrics.macro_f1.threshold=2: expected from 0 to 1"),
        (["metrics=cohen_kappa", "metrics.cohen_kappa.weights=cubic"], "metrics.cohen_kappa.weights=cubic: expected"),
        (
            ["metrics=macro_f1", "+metrics.macro_f1.treshold=0.5"],
            "metrics.macro_f1.treshold: no such key; did you mean metrics.macro_f1.threshold?",
        ),
        (["+metrics.mine=3"], "metrics.mine=3: expected a _target_ that names a class or a function"),
        (["+metrics.mine._target_=own_metrics.number"], "metrics.mine._target_=own_metrics.number: a int; expected"),
        (["+metrics.mine._target_=own_metrics.nothing"], "metrics.mine._target_=own_metrics.nothing: module"),
        (["+metrics.mine._target_=collections.OrderedDict"], "metrics.mine._target_=collections.OrderedDict: cannot"),
        (["+metrics.mine._target_=own_metrics.share_of_class"], "metrics.mine.index: no value; expected one for"),
        (["+metrics.a b._target_=own_metrics.Constant"], ""),
    ],
)
def test_something_other_than_a_metric_is_rejected_in_one_line(words: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        experiment(*words)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
