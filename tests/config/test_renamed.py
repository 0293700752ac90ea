"""Names of earlier versions are still understood."""

import pytest
from omegaconf import OmegaConf

from dcase_sweep.config import renamed
from dcase_sweep.config.classes import locate
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renamed, "_noticed", set())


def test_an_earlier_key_on_the_command_line_is_understood_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["training.keep_from=0.5", "hardware.features_on=device"]
    (composed,) = compose_experiments([*words, "data=tau2020", "data.root=/tmp"])
    assert composed.experiment.training.best_after_fraction == 0.5
    assert composed.experiment.hardware.cache_device == "device"
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" is called ")[0] for line in lines] == ["note: " + word.partition("=")[0] for word in words]


def test_an_earlier_key_in_a_file_replaces_the_default_of_today() -> None:
    composed = OmegaConf.create({"training": {"best_after_fraction": 0.255, "keep_from": 0.5}})
    renamed.rename_composed(composed)
    assert composed == {"training": {"best_after_fraction": 0.5}}


def test_a_flat_configuration_of_a_checkpoint_gets_the_names_of_today() -> None:
    then = {"mean_teacher.ema": 0.99, "data._target_": "dcase_sweep.data.demo.dataset.DemoScenes", "seed": 1}
    assert renamed.rename_keys(then, quiet=True) == {
        "mean_teacher.ema_decay": 0.99,
        "data._target_": "dcase_sweep.demo.tau.DemoScenes",
        "seed": 1,
    }


def test_keys_that_are_gone_are_left_out_of_files_and_refused_on_a_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    then = {"task.demo_batch": None, "task.batch.0": 3, "task.name": "4", "mean_teacher.strong": 3}
    composed = OmegaConf.create({"task": {"name": "4", "ramp_epochs": 50}})

    renamed.rename_composed(composed)

    assert renamed.rename_keys(then) == {"task.name": "4", "mean_teacher.strong": 3}
    assert composed == {"task": {"name": "4"}}
    assert capsys.readouterr().err == "note: task.ramp_epochs has no effect any more; set mean_teacher.ramp_epochs\n"
    with pytest.raises(UserError, match=r"task.demo_epochs=1: no such key any more; set training.epochs"):
        compose_experiments(["task.demo_epochs=1"])


def test_the_kind_of_a_task_in_a_checkpoint_becomes_its_class() -> None:
    learners = {"framework.learners.scenes": "dcase_sweep.learners.scenes.SceneLearner"}
    own = {"framework.learners.events": "mine.Learner"}

    assert renamed.rename_keys({"task.kind": "scenes", **learners, **own}, quiet=True) == {
        "task._target_": "dcase_sweep.tasks.scene_classification.SceneClassification"
    }
    assert renamed.rename_keys({"task.kind": "events", **learners, **own}, quiet=True) == {
        "task._target_": "dcase_sweep.tasks.sound_event_detection.SoundEventDetection",
        "task.learner": "mine.Learner",
    }


def test_a_learner_of_an_earlier_framework_group_is_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    (composed,) = compose_experiments(["framework.learners.scenes=collections.Counter", "data=demo"])

    assert composed.experiment.task.learner == "collections.Counter"
    assert "note: framework.learners.scenes is called task.learner now" in capsys.readouterr().err


def test_a_users_framework_file_with_learners_is_understood() -> None:
    composed = OmegaConf.create(
        {"task": {"kind": "scenes"}, "framework": {"name": "jax", "learners": {"scenes": "mine.JaxLearner"}}}
    )
    renamed.rename_composed(composed)

    assert composed.task.learner == "mine.JaxLearner"
    assert composed.task._target_.endswith("SceneClassification")
    assert composed.framework == {"name": "jax"}


@pytest.mark.parametrize(
    "target", sorted(set(renamed.CLASSES.values()) - {"dcase_sweep.training.keras.learner.KerasSceneLearner"})
)
def test_every_class_has_its_name_of_today(target: str) -> None:
    assert isinstance(locate("target", target), type)
