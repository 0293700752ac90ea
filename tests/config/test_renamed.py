"""Names of earlier versions are still understood."""

import pytest
from omegaconf import OmegaConf

from dcase_sweep.config import Experiment, flatten, renamed
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
    assert [line.split(" is now called ")[0] for line in lines] == ["note: " + word.partition("=")[0] for word in words]


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


def test_keys_that_are_gone_are_left_out_of_files_and_rejected_on_a_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    then = {"task.demo_batch": None, "task.batch.0": 3, "task.name": "4", "mean_teacher.strong": 3}
    composed = OmegaConf.create({"task": {"name": "4", "ramp_epochs": 50}})

    renamed.rename_composed(composed)

    assert renamed.rename_keys(then) == {"task.name": "4", "mean_teacher.strong": 3}
    assert composed == {"task": {"name": "4"}}
    assert capsys.readouterr().err == "note: task.ramp_epochs no longer has an effect; set mean_teacher.ramp_epochs\n"
    with pytest.raises(UserError, match=r"task.demo_epochs=1: no longer a key; set training.epochs"):
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
    assert "note: framework.learners.scenes is now called task.learner" in capsys.readouterr().err


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


def understood(*words: str, task: str = "1a") -> Experiment:
    data = ["data=tau2020", "data.root=/tau"] if task == "1a" else ["model=crnn_meanteacher"]
    (composed,) = compose_experiments([*data, *words])
    return composed.experiment


def test_an_optimizer_and_a_schedule_by_their_earlier_keys(capsys: pytest.CaptureFixture[str]) -> None:
    experiment = understood("optimizer.name=adamw", "optimizer.weight_decay=0.1", "training.schedule=cosine")

    assert flatten(experiment.optimizer) == {
        "_target_": "torch.optim.AdamW",
        "lr": 1e-3,
        "eps": 1e-7,
        "weight_decay": 0.1,
    }
    assert experiment.scheduler._target_.endswith(".cosine")
    assert capsys.readouterr().err.count("note: ") == 2


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_options_of_augmentation_become_a_chain_in_the_order_in_which_they_were_applied(prefix: str) -> None:
    chain = understood("augmentation.mixup_alpha=0.2", f"{prefix}augmentation.roll=0.1").augmentation

    assert list(chain) == ["roll", "mixup"]
    assert (chain["roll"].fraction, chain["mixup"].alpha) == (0.1, 0.2)


def test_options_of_the_mean_teacher_precede_the_mixup_of_the_recipe() -> None:
    chain = understood("mean_teacher.frame_shift=90", "mean_teacher.mixup_probability=0.7", task="4").augmentation

    assert list(chain) == ["frame_shift", "event_mixup"]
    assert (chain["frame_shift"].std, chain["event_mixup"].probability) == (90.0, 0.7)


def test_a_sweep_over_an_earlier_key_is_one_over_its_component() -> None:
    jobs = compose_experiments(["data=tau2020", "data.root=/tau", "augmentation.mixup_alpha=0,0.2"])

    assert [job.experiment.augmentation["mixup"].alpha for job in jobs] == [0, 0.2]


def test_a_users_file_with_earlier_keys_means_what_it_meant() -> None:
    composed = compose_experiments(["data=tau2020", "data.root=/tau"])[0].experiment
    file = OmegaConf.create(
        {
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3, "eps": 1e-7, "weight_decay": 0.0, "name": "sgd"},
            "training": {"schedule": "cosine"},
            "augmentation": {"roll": 0.1, "mask_mels": 0, "freq_mixstyle_p": 0.4},
        }
    )
    renamed.rename_composed(file)

    assert composed.augmentation == {}
    assert file.optimizer == {"_target_": "torch.optim.SGD", "lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0}
    assert "schedule" not in file.training
    assert list(file.augmentation) == ["roll", "freq_mixstyle"]
    assert file.augmentation.freq_mixstyle.probability == 0.4


def earlier(experiment: Experiment, **more: object) -> dict[str, object]:
    """The flattened configuration of a checkpoint of an earlier version."""
    groups = ("optimizer.", "scheduler.", "augmentation.", "task.loss.", "training.adam_eps")
    kept = {key: value for key, value in flatten(experiment).items() if not key.startswith(groups)}
    optimizer = {"name": "adam", "lr": 1e-3, "eps": experiment.training.adam_eps, "weight_decay": 0.0}
    options = {"mixup_alpha": 0.0, "mask_mels": 0, "mask_mels_width": 8, "freq_mixstyle_p": 0.0, "roll": 0.0}
    then = {
        **{f"optimizer.{name}": value for name, value in optimizer.items()},
        **{f"augmentation.{name}": value for name, value in options.items()},
        "training.schedule": "constant",
    }
    if experiment.mean_teacher is not None:
        mixup = {"mixup_probability": 0.5, "mixup_alpha": 0.2, "mixup_labels": "soft", "frame_shift": 0.0}
        then |= {f"mean_teacher.{name}": value for name, value in mixup.items()}
    return kept | then | more


@pytest.mark.parametrize("task", ["1a", "4"])
def test_a_checkpoint_of_an_earlier_version_has_the_components_of_the_recipe(task: str) -> None:
    experiment = understood(task=task)

    assert renamed.rename_keys(earlier(experiment), quiet=True) == flatten(experiment)


def test_a_checkpoint_of_an_earlier_version_keeps_what_was_chosen() -> None:
    chosen = {"optimizer.name": "sgd", "training.schedule": "cosine", "augmentation.roll": 0.1}

    found = renamed.rename_keys(earlier(understood(), **chosen), quiet=True)

    assert found == flatten(understood("optimizer=sgd", "scheduler=cosine", "augmentation=roll"))
