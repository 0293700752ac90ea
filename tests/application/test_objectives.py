"""Misspelt metrics of a search are found before the first trial, as far as the metrics of a run are known."""

import pytest

from dcase_sweep.application.objectives import check_names
from dcase_sweep.config import Experiment
from dcase_sweep.config.command_line import with_model_of_task
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.tasks.scene_classification import SceneClassification
from dcase_sweep.utils.errors import UserError
from tests.composing import composed


class OwnScenes(SceneClassification):
    """May evaluate in its own way."""


@pytest.fixture(scope="module")
def scenes() -> Experiment:
    return composed("metrics=macro_f1")


@pytest.fixture(scope="module")
def events() -> Experiment:
    return composed(*with_model_of_task(["task='4'", "metrics=macro_f1"], SearchPath.of_arguments([])))


@pytest.mark.parametrize(
    "metric",
    [
        *("best/validation/accuracy", "best/epoch", "test/accuracy", "test/log_loss_device_s1", "test/f1"),
        *("test/macro_f1", "test/macro_f1_each", "complexity/size_kib_16bit", "complexity/within_128_kb"),
        *("compression/accuracy_lost", "energy/training_kwh", "time/training_seconds"),
    ],
)
def test_metrics_of_scenes_are_known(metric: str, scenes: Experiment) -> None:
    check_names("search.objective", [metric], scenes)


@pytest.mark.parametrize(
    "metric",
    [
        *("best/validation/objective", "test/psds1", "test/f1", "hp_metric", "test/clips_scored"),
        *("test/teacher/psds_score_scenario1", "test/student/psds_exact_scenario2", "test/teacher/event_f1/Speech"),
        *("test/student/segment_error_rate", "test/teacher/macro_f1", "test/teacher/loss_strong"),
    ],
)
def test_metrics_of_events_are_known(metric: str, events: Experiment) -> None:
    check_names("search.objective", [metric], events)


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("test/acuracy", r"no such metric of a run; the nearest are test/accuracy"),
        ("accuracy", r"no such metric of a run; the nearest are .*test/accuracy"),
        ("test/psds1", r"no such metric of a run; the nearest are "),
        ("complexity/size_kb_16bit", r"no such metric of a run; the nearest are complexity/size_kib_16bit"),
        (
            "best/validation/loss",
            r"expected best/validation/accuracy \(task\.monitor chooses another .*\) or best/epoch",
        ),
    ],
)
def test_a_misspelt_metric_is_refused_with_the_nearest(metric: str, says: str, scenes: Experiment) -> None:
    with pytest.raises(UserError, match=rf"^search\.objective={metric}: no such metric of a run; ") as caught:
        check_names("search.objective", ["test/accuracy", metric], scenes)
    assert caught.match(says)


def test_metrics_of_another_task_are_known_after_a_run_only() -> None:
    experiment = composed(f"task._target_={OwnScenes.__module__}.OwnScenes")

    check_names("search.objective", ["test/own", "own/value"], experiment)
    with pytest.raises(UserError, match=r"expected best/validation/accuracy"):
        check_names("search.objective", ["best/validation/acuracy"], experiment)
