"""Configurations from files: what they may determine, and what only the command line may."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import dcase_sweep
from dcase_sweep import tracking
from dcase_sweep.cli import complexity, predict
from dcase_sweep.config import Tracking, build_model, flatten, plain, restore_experiment
from dcase_sweep.export.runs import find_trained_run
from dcase_sweep.inference.loading import load_trusted_checkpoint
from dcase_sweep.training.trained import open_trained
from dcase_sweep.utils.errors import UserError
from tests.composing import composed

#: A module that says so when it is imported.
HOSTILE = "import pathlib\npathlib.Path({mark!r}).write_text('ran')\n\ndef main(*a, **k):\n    raise SystemExit\n"


@pytest.fixture
def flat() -> dict[str, Any]:
    return flatten(composed("data=tau2020", "data.root=/tau", "data.seconds=1", "model.blocks.2.pool=[4,5]"))


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that exists if the module ``hostile`` was imported."""
    found = tmp_path / "ran"
    (tmp_path / "hostile.py").write_text(HOSTILE.format(mark=str(found)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hostile", raising=False)
    return found


def restore(flat: dict[str, Any], **given: Any) -> Any:
    return restore_experiment(flat, where="run=x", **{"overrides": {"data.root": "/tau"}, **given})


TARGETS = ("model._target_", "front_end._target_", "data._target_", "task._target_")


@pytest.mark.parametrize("key", TARGETS)
@pytest.mark.parametrize("target", ["hostile.main", "os.system", "pip._internal.main", "dcase_sweep_evil.models.X"])
def test_a_class_that_the_command_line_does_not_name_is_not_imported(
    key: str, target: str, flat: dict[str, Any], mark: Path
) -> None:
    with pytest.raises(UserError, match=rf"^run=x: {key}={target}: not a class of dcase_sweep, and .* add {key}="):
        restore(flat | {key: target, f"{key.partition('.')[0]}.argv": ["install", "."]})

    assert not mark.exists()
    assert "hostile" not in sys.modules


@pytest.mark.parametrize(
    ("key", "target", "says"),
    [
        ("model._target_", "dcase_sweep.audio.log_mel.LogMel", "not a class of dcase_sweep"),
        ("model._target_", "dcase_sweep.models.cnn.Block", "not a network"),
        ("model._target_", "dcase_sweep.models.cnn.resolve_blocks", "a function, not a class"),
        ("model._target_", "dcase_sweep.models.cnn.nn.Linear", "expected the full name of a class"),
        ("model._target_", "dcase_sweep.models.cnn.Sequence", "not a network"),
        ("model._target_", "dcase_sweep.models.published.CRNN", "model.blocks: no such key"),
        ("front_end._target_", "dcase_sweep.audio.reading.AudioProblem", "not a front end"),
        ("front_end._target_", "dcase_sweep.audio.log_mel.np.lib", "not a class|full name|not a front end"),
        ("data._target_", "dcase_sweep.data.scenes.SceneData", "not a data set"),
        ("data._target_", "dcase_sweep.runner.run", "not a class of dcase_sweep"),
        ("data._target_", "..os.system", "expected the full name of a class"),
        ("data._target_", None, "expected the full name of a class"),
        ("data._target_", 3, "expected the full name of a class"),
    ],
)
def test_a_class_of_this_package_is_of_its_groups_kind(key: str, target: Any, says: str, flat: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=says):
        restore(flat | {key: target})


@pytest.mark.parametrize(
    "key",
    [
        "model.blocks.0._target_",
        "model.blocks.0.pool._target_",
        "front_end.window._target_",
        "training._target_",
        "evaluation.scenario1._target_",
        "model._partial_",
        "data._args_",
        "front_end._recursive_",
        "_target_",
    ],
)
def test_nested_instructions_are_rejected(key: str, flat: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="a file is not trusted to name code"):
        restore(flat | {key: "os.system"})


def test_all_classes_that_have_to_be_named_are_in_one_message(flat: dict[str, Any], mark: Path) -> None:
    own = {"model._target_": "hostile.Net", "front_end._target_": "hostile.FrontEnd", **WITHIN}

    with pytest.raises(UserError) as caught:
        restore(flat | own)

    assert {*str(caught.value).rpartition(" add ")[2].split()} == {f"{key}={target}" for key, target in own.items()}
    with pytest.raises(UserError, match=r"add model\.blocks\.0\.act\._target_=hostile\.main$"):
        restore(flat | own, named={key: target for key, target in own.items() if key not in WITHIN})
    assert not mark.exists()


WITHIN = {"model.blocks.0.act._target_": "hostile.main"}


def test_an_object_within_a_component_is_of_the_class_that_the_command_line_names(
    flat: dict[str, Any], mark: Path
) -> None:
    for named in (
        {},
        {"model.blocks.0.act._target_": "torch.nn.GELU"},
        {"model.blocks.1.act._target_": "hostile.main"},
    ):
        with pytest.raises(UserError, match=r"add model\.blocks\.0\.act\._target_=hostile\.main$"):
            restore(flat | WITHIN, named=named)
    for word in ("_args_", "_recursive_"):
        with pytest.raises(UserError, match="a file is not trusted to name code"):
            restore(flat | WITHIN | {f"model.blocks.0.act.{word}": True}, named=WITHIN)
    with pytest.raises(UserError, match="a file is not trusted to choose files to read"):
        restore(flat | WITHIN | {"model.blocks.0.act.path": "/etc/passwd"}, named=WITHIN)
    assert not mark.exists()


ACTIVATED = """
from torch import nn


class Activated(nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes, activation):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), activation, nn.Linear(input_shape[0] * input_shape[1], classes))

    def forward(self, features):
        return self.layers(features)
"""


def test_a_network_with_an_object_within_is_loaded_by_all_who_name_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_activated.py").write_text(ACTIVATED)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/own.yaml").write_text(
        "_target_: my_activated.Activated\nactivation: {_target_: torch.nn.LeakyReLU, negative_slope: 0.3}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    classes = {"model._target_": "my_activated.Activated", "model.activation._target_": "torch.nn.LeakyReLU"}
    words = [f"{key}={value}" for key, value in classes.items()]
    experiment = dcase_sweep.compose(["model=own", "data.seconds=1"], config_dir="conf").settings
    state = {f"network.{name}": value for name, value in build_model(experiment, classes=4).state_dict().items()}
    state |= {"mean": torch.zeros(40, 1), "deviation": torch.ones(40, 1)}
    stored = {"configuration": flatten(experiment), "classes": list("abcd")}
    torch.save({"state_dict": state, "dcase_sweep": stored}, tmp_path / "best.ckpt")

    with pytest.raises(UserError, match=r"add model\.activation\._target_=torch\.nn\.LeakyReLU$"):
        complexity.main(["best.ckpt", words[0]])
    assert complexity.main(["best.ckpt", *words]) == complexity.main(["best.ckpt", "--config-dir", "conf"]) == 0
    for overrides, folder in ((classes, None), ({}, "conf")):
        found = find_trained_run("best.ckpt", overrides | {"data.root": "."}, folder)
        assert plain(found.experiment.model)["activation"]["negative_slope"] == 0.3
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(8000)), 8000)
    assert predict.main(["best.ckpt", "a.wav", *words]) == 0
    with pytest.raises(
        UserError, match=r'add targets=\{"model": "my_.*d", "model\.activation": "torch\.nn\.LeakyReLU"\}$'
    ):
        dcase_sweep.load_run("best.ckpt")
    with pytest.raises(UserError, match=r'add targets=\{"model\.activation": "torch\.nn\.LeakyReLU"\}$'):
        dcase_sweep.load_run("best.ckpt", targets={"model": "my_activated.Activated"})
    targets = {key.removesuffix("._target_"): value for key, value in classes.items()}
    assert "negative_slope=0.3" in str(dcase_sweep.load_run("best.ckpt", targets=targets).network)
    assert load_trusted_checkpoint(tmp_path / "best.ckpt").classes == ("a", "b", "c", "d")


def test_learners_and_places_of_a_file_are_never_obeyed(
    flat: dict[str, Any], mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = restore(
        flat
        | {
            "framework.name": "evil",
            "framework.learners.scenes": "hostile.main",
            "task.learner": "hostile.main",
            "tracking.uri": "http://attacker:5000",
            "tracking.folder": "/etc",
            "tracking.tags.a": "b",
            "store.root": "/etc",
            "hardware.threads": 10**6,
            "hardware.accelerator": "gpu",
            "resume": "/etc/passwd",
            "compression.start": "/etc/passwd",
            "hydra.run.dir": "/etc",
        }
    )

    assert (found.framework.name, found.task.learner) == ("torch", None)
    assert (found.tracking.uri, found.tracking.folder, found.tracking.tags) == (None, "mlruns", {})
    assert found.store.root == composed().store.root
    assert (found.hardware.threads, found.hardware.accelerator) == (None, "cpu")
    assert (found.resume, found.compression.start) == (None, None)
    assert not mark.exists()


def test_components_of_a_training_are_neither_looked_up_nor_made(flat: dict[str, Any], mark: Path) -> None:
    hostile = {
        f"{key}._target_": "hostile.main"
        for key in ("optimizer", "scheduler", "task.loss", "augmentation.mixup", "callbacks.mine")
    }

    found = restore(flat | hostile | {"callbacks.mine.command": "rm"})

    assert found.optimizer._target_ == "torch.optim.Adam"
    assert (found.augmentation, found.callbacks, found.task.loss) == ({}, {}, None)
    assert not mark.exists()


def test_the_command_line_determines_the_location_of_recordings(flat: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^run=x: trained on the recordings in /tau; .* so add data.root=/tau$"):
        restore(flat, overrides={})

    assert restore(flat, overrides={"data.root": "/elsewhere"}).data.root == "/elsewhere"
    assert restore(flat, reads_data=False, overrides={}).data.root == composed().data.root


def test_conf_determines_the_location_of_the_demo() -> None:
    demo = flatten(composed("data.train_clips=40")) | {"data.root": "/etc"}

    found = restore(demo, overrides={})

    assert (found.data.root, found.data.train_clips) == (composed().data.root, 40)


@pytest.mark.parametrize("path", ["/etc/passwd", "~/list.csv", "../../list.csv", "a/../../b.csv"])
def test_a_file_names_no_path_outside_the_recordings(path: str, flat: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"data.validation_list=.*: a file is not trusted to choose files to read"):
        restore(flat | {"data.validation_list": path})

    given = {"data.root": "/tau", "data.validation_list": path}
    assert restore(flat | {"data.validation_list": path}, overrides=given).data.validation_list == path


def test_keys_that_contradict_one_another_are_rejected(flat: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="a value and a group at once"):
        restore({"model": 1, **flat})
    with pytest.raises(UserError, match="front_end: not in the configuration of the file"):
        restore({key: value for key, value in flat.items() if not key.startswith("front_end")})


OWN = """
from dcase_sweep.models.cnn import CNN


class Mine(CNN):
    '''A network of one's own.'''
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a class of the user's own."""
    (tmp_path / "my_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    monkeypatch.chdir(tmp_path)
    experiment = composed("model._target_=my_models.Mine")
    state = {f"network.{name}": value for name, value in build_model(experiment, classes=4).state_dict().items()}
    torch.save({"state_dict": state, "dcase_sweep": {"configuration": flatten(experiment)}}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_a_class_of_ones_own_is_named_on_the_command_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"if the class is yours, add model._target_=my_models.Mine"):
        complexity.main([str(own)])
    with pytest.raises(UserError, match=r"the file was made with my_models\.Mine; expected the same class"):
        complexity.main([str(own), "model._target_=dcase_sweep.models.cnn.CNN"])

    assert complexity.main([str(own), "model._target_=my_models.Mine"]) == 0
    assert "Parameters" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"run=.*: model._target_=my_models.Mine: not a class of dcase_sweep"):
        find_trained_run(str(own), {})
    found = find_trained_run(str(own), {"model._target_": "my_models.Mine"})
    assert found.experiment.model._target_ == "my_models.Mine"


def test_weights_of_another_size_are_rejected_before_a_network_is_made(tmp_path: Path, flat: dict[str, Any]) -> None:
    state = {"network.convolutions.0.weight": torch.ones(2, 1, 7, 7)}
    for name, weights in (("other", state), ("scalar", {"network.a": torch.tensor(1.0)}), ("none", {})):
        extra = {"configuration": flat | {"model.units": 50_000}}
        torch.save({"state_dict": weights, "dcase_sweep": extra}, tmp_path / name)
        with pytest.raises(UserError, match=r"not of the network of its configuration|no network in it|units"):
            open_trained(str(tmp_path / name))


def test_a_run_in_the_store_is_a_file_too(flat: dict[str, Any], mlruns: Path, mark: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    evil = flat | {"front_end._target_": "hostile.main"}
    torch.save({"state_dict": {}, "dcase_sweep": {"configuration": evil}}, tmp_path / "checkpoints/best.ckpt")
    run = tracking.start_run(Tracking(folder=str(mlruns)), name="x", tags={})
    run.log_file(tmp_path / "checkpoints/best.ckpt", "checkpoints")
    run.end("FINISHED")

    with pytest.raises(UserError, match=rf"^run={run.id}: front_end._target_=hostile.main: not a class of dcase_sweep"):
        find_trained_run(run.id, {"tracking.folder": str(mlruns), "data.root": "/tau"})
    assert not mark.exists()


def test_the_command_lines_own_classes_are_of_their_groups_kinds() -> None:
    for override, says in (
        ("model._target_=os.system", "not a class; expected a network"),
        ("model._target_=collections.OrderedDict", "not a network"),
        ("front_end._target_=collections.OrderedDict", "not a front end"),
        ("data._target_=collections.OrderedDict", "not a data set"),
        ("model._target_=nowhere.Net", "No module named 'nowhere'"),
        ("model._target_=.", "expected the full name of a class"),
    ):
        with pytest.raises(UserError, match=says):
            composed(override)


def test_a_restored_experiment_is_that_of_the_training(flat: dict[str, Any]) -> None:
    found = restore(flat)

    assert plain(found.model)["blocks"][2]["pool"] == [4, 5]
    assert {key: value for key, value in flatten(found).items() if key.startswith("front_end.")} == {
        key: value for key, value in flat.items() if key.startswith("front_end.")
    }
