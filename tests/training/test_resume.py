"""Checkpoints that a configuration can continue: its own, including those without newer keys."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dcase_sweep.config import Experiment, flatten
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.training.resume import Resumable, find_resumable
from dcase_sweep.utils.errors import UserError
from tests.composing import composed
from tests.earlier import WORDS, read_earlier

TAU = ("data=tau2020", "data.root=/tau")
#: Keys that there were not in earlier versions.
NEW = ("data.validation", "training.normalise_over", "evaluation.precision")
#: What earlier versions did.
FORMER = ("data.validation=balanced", "training.normalise_over=train", "training.best_after_fraction=0.25")


def checkpoint_of(experiment: Experiment, path: Path, *, without: tuple[str, ...] = (), **more: Any) -> Path:
    flat = {key: value for key, value in flatten(experiment).items() if key not in without}
    extra = {"configuration": flat | more, "run_id": "r"}
    state = {"state_dict": {}, "optimizer_states": [{}], "callbacks": {"BestCheckpoint": {}}}
    torch.save({"dcase_sweep": extra, "epoch": 3, **state}, path)
    return path


def resumed(path: Path, *overrides: str) -> Resumable | None:
    return find_resumable(composed(*overrides, f"resume={path}"))


def test_its_own_configuration_continues(tmp_path: Path) -> None:
    path = checkpoint_of(composed(*TAU), tmp_path / "last.ckpt")

    assert resumed(path, *TAU) == Resumable(path, "r", 4)
    assert resumed(path, *TAU, "evaluation.precision=16") == Resumable(path, "r", 4)


@pytest.mark.parametrize("evaluation", [{}, {"evaluation": None}])
def test_an_older_checkpoint_continues_by_the_former_rules(tmp_path: Path, evaluation: dict[str, Any]) -> None:
    path = checkpoint_of(composed(*TAU, *FORMER), tmp_path / "last.ckpt", without=NEW, **evaluation)

    assert resumed(path, *TAU, *FORMER) == Resumable(path, "r", 4)


def test_an_older_checkpoint_does_not_continue_by_the_present_rules(tmp_path: Path) -> None:
    path = checkpoint_of(composed(*TAU, *FORMER), tmp_path / "last.ckpt", without=NEW)

    with pytest.raises(UserError) as caught:
        resumed(path, *TAU)

    assert str(caught.value) == (
        f"resume={path}: made by another configuration (data.validation was 'balanced', is 'official', "
        "training.best_after_fraction was 0.25, is 0.255, training.normalise_over was 'train', is 'train+validation'); "
        "expected its own: add data.validation=balanced training.best_after_fraction=0.25 training.normalise_over=train"
    )


def test_a_new_key_without_an_effect_of_its_own_breaks_nothing(tmp_path: Path) -> None:
    path = checkpoint_of(
        composed(*TAU),
        tmp_path / "last.ckpt",
        without=("compression.quantize",),
    )

    assert resumed(path, *TAU) is not None
    with pytest.raises(
        UserError, match=r"compression.quantize was False, is True\); expected its own: add compression.quantize=false"
    ):
        resumed(path, *TAU, "compression.quantize=true")


def test_a_new_key_of_task_4_breaks_nothing(tmp_path: Path) -> None:
    path = checkpoint_of(
        composed("model=crnn_meanteacher"),
        tmp_path / "last.ckpt",
        without=("training.normalise_over",),
    )

    assert resumed(path, "model=crnn_meanteacher") is not None


def test_a_key_without_a_default_must_be_there(tmp_path: Path) -> None:
    path = checkpoint_of(composed(*TAU), tmp_path / "last.ckpt", without=("training.epochs",))

    with pytest.raises(UserError, match=r"training.epochs was None, is 200\); expected its own$"):
        resumed(path, *TAU)


def test_another_class_of_data_has_defaults_of_its_own(tmp_path: Path) -> None:
    path = checkpoint_of(composed(), tmp_path / "last.ckpt", without=("data.validation_fraction",))

    with pytest.raises(UserError, match=r"data\._target_ was"):
        resumed(path, *TAU)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"epoch": "three"}, "epoch is a str"),
        ({"epoch": None}, "epoch is None"),
        ({"epoch": 10**9}, "epoch is 1000000000, of 200"),
        ({"optimizer_states": []}, "no optimizer_states"),
        ({"optimizer_states": {"a": 1}}, "no optimizer_states"),
        ({"callbacks": [1]}, "no callbacks"),
        ({"state_dict": [1]}, "state_dict is a list"),
    ],
)
def test_a_field_of_another_kind_is_rejected(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = checkpoint_of(composed(*TAU), tmp_path / "last.ckpt")
    torch.save(torch.load(path, weights_only=True) | changed, path)

    with pytest.raises(UserError, match=rf"^resume=.*: not a checkpoint to continue from \({says}"):
        resumed(path, *TAU)


@pytest.mark.parametrize("task", ["1a", "4"])
def test_a_checkpoint_of_an_earlier_version_is_continued_by_the_same_words(task: str, tmp_path: Path) -> None:
    """The configuration is from a checkpoint of the version before the component groups."""
    state = {"state_dict": {}, "optimizer_states": [{}], "callbacks": {"Keeper": {}}}
    extra = {"configuration": read_earlier(task), "run_id": "r"}
    path = tmp_path / "last.ckpt"
    torch.save({"dcase_sweep": extra, "epoch": 3, **state}, path)

    found = find_resumable(compose_experiments([*WORDS[task], f"resume={path}"])[0].experiment)

    assert found is not None
    assert found.epochs == 4
