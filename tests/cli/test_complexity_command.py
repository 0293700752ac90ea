"""``complexity`` for overrides and for checkpoints."""

import json
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from dcase_sweep.cli.complexity import main
from dcase_sweep.config import build_model, flatten
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()


def test_the_baseline_has_the_size_of_the_official_table_to_the_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", "out.json"]) == 0

    text = capsys.readouterr().out
    assert "93,004 bytes (90.82 KiB) at 16 bit" in text
    assert "pass  DCASE 2021 task 1A" in text
    found = json.loads((tmp_path / "out.json").read_text())["baseline_cnn"]
    assert (found["parameters"], found["nonzero"], found["bytes_16bit"]) == (46_246, 46_246, 93_004)
    assert found["peak_activation_bytes_8bit"] == 2 * 16 * 40 * 500  # both maps of the second convolution
    assert found["multiply_accumulates_per_second"] * 10 == found["multiply_accumulates"] == 286_637_800
    assert sum(layer["bytes_16bit"] for layer in found["layers"]) == 93_004
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json"]  # neither runs nor data


def test_several_models_are_compared_and_cnn5_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=baseline_cnn,cnn4,cnn5,crnn_meanteacher"]) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:6]}
    assert [rows[name][0] for name in rows] == ["46,246", "47,846", "191,030", "1,112,420"]
    assert rows["cnn4"][-3:] == ["pass"] * 3
    assert rows["cnn5"][-3:] == ["FAIL"] * 3
    assert "cnn5: DCASE 2021 task 1A: 383,212 bytes at 16 bit; at most 131,072 allowed" in lines
    assert "crnn_meanteacher is for another task" in lines[-1]


def test_the_number_of_classes_is_shown_for_a_network_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=cnn4", "--classes", "3"]) == 0

    assert "before training, for 3 classes; --classes N sets the number of your data" in capsys.readouterr().out


def test_overrides_and_flags_are_those_of_an_experiment() -> None:
    names = [each.name for each in compose_experiments(["model=cnn5", "model.depth=3,4"])]
    (fourth,) = compose_experiments(["task=4"])

    assert names == ["cnn5 model.depth=3", "cnn5 model.depth=4"]
    assert (fourth.name, fourth.experiment.task.name) == ("crnn_meanteacher", "4")
    assert main(["-m", "model=cnn4", "--bits", "8"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model=cnn6"], "model=cnn6: no such choice; did you mean model=cnn5?"),
        (["model.dept=3"], "model.dept: no such key; did you mean model.depth?"),
        (["model.depth=0"], "model.depth=0: expected at least 1"),
        (["model.dropout=interval(0,1)"], "expected choice() or range()"),
        (["nowhere"], "nowhere: no checkpoint there"),
        (["nowhere", "model=cnn5"], "model=cnn5: a trained network cannot be changed"),
        (["--json", "nowhere/out.json"], "nowhere/out.json: cannot be written"),
    ],
)
def test_mistakes_are_reported_in_one_line(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        main(arguments)

    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("model", "prefix"), [("cnn4", "network."), ("crnn_meanteacher", "student.")])
def test_a_checkpoint_shows_which_parameters_are_zero(
    model: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (composed,) = compose_experiments([f"model={model}"])
    network = build_model(composed.experiment, classes=7)
    for weight in network.parameters():
        torch.nn.init.constant_(weight, 0.5)
    first = next(network.parameters())
    torch.nn.init.zeros_(first[:2])
    state = {prefix + name: value for name, value in network.state_dict().items()}
    extra = {"configuration": flatten(composed.experiment)}
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": state, "dcase_sweep": extra}, tmp_path / "checkpoints" / "best.ckpt")

    assert main([str(tmp_path), "--json", "out.json"]) == 0

    (found,) = json.loads((tmp_path / "out.json").read_text()).values()
    running_means = 4 * 16 if model == "cnn4" else 0  # still zero, and counted in task 1A
    assert found["parameters"] - found["nonzero"] == first[:2].numel() + running_means
    assert "of them not zero" in capsys.readouterr().out


def test_a_file_that_is_not_a_checkpoint_of_a_run_is_rejected(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")

    with pytest.raises(UserError, match="not a checkpoint of a run"):
        main([str(tmp_path / "other.ckpt")])
