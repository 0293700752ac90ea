"""Evaluation of a published checkpoint through the real command line."""

import json
import re
from pathlib import Path

import pytest
import torch

from tests.conftest import UNDRAWN, CommandLine
from tests.desed_layout import make_desed
from tests.integration.test_experiment import client, run_folder
from tests.models.published_crnn import PublishedCRNN

#: The published network, smaller; its pools are (frame, mel).
SIZES = ("model.filters=[4,8]", "model.pools=[[8,2],[8,2]]", "model.recurrent_units=8", "front_end.n_mels=64")
SMALL = ("mean_teacher.strong=2", "mean_teacher.weak=2", "mean_teacher.unlabelled=2", "data.seconds=1", UNDRAWN)


@pytest.fixture(scope="module")
def arguments(command_line: CommandLine) -> list[str]:
    root = make_desed(command_line.folder / "desed")
    return ["model=crnn_meanteacher", "data=desed", f"data.root={root}", *SIZES, *SMALL]


@pytest.fixture(scope="module")
def checkpoint(command_line: CommandLine) -> Path:
    torch.manual_seed(0)
    state = {}
    for which, loud in (("student", False), ("teacher", True)):
        network = PublishedCRNN(filters=(4, 8), pools=((2, 8), (2, 8)), units=8)
        if loud:  # everything is heard all the time
            torch.nn.init.constant_(network.dense.bias, 9.0)
        state |= {f"sed_{which}.{name}": tensor for name, tensor in network.state_dict().items()}
    path = command_line.folder / "published.ckpt"
    torch.save({"state_dict": state | {"mel_spec.spectrogram.window": torch.ones(2048)}, "epoch": 199}, path)
    return path


def test_it_is_evaluated_and_logged_without_training(
    command_line: CommandLine, arguments: list[str], checkpoint: Path
) -> None:
    output = command_line(*arguments, f"mean_teacher.checkpoint={checkpoint}")

    assert re.search(rf"^training +none: the weights of {checkpoint}$", output, re.MULTILINE)
    assert re.search(r"^PSDS 1 \(exact times\)( +\d\.\d{4}){2} +\d+ of 10$", output, re.MULTILINE)
    folder = run_folder(output, command_line.folder)
    figures = json.loads((folder / "teacher.json").read_text())["figures"]
    heard = [each for each in figures if each["metric"] == "segment_f1" and each["class"] == "Cat"]
    assert heard[0]["value"] > 0  # the loud teacher's weights, not fresh ones
    store, experiment = client(command_line.folder)
    (run,) = store.search_runs([experiment])  # type: ignore[attr-defined]
    assert run.info.status == "FINISHED"
    assert run.data.params["mean_teacher.checkpoint"] == str(checkpoint)
    assert "test/teacher/psds_score_scenario2" in run.data.metrics
    assert "train/loss" not in run.data.metrics


def test_a_wrong_file_is_reported_before_the_data_are_read(
    command_line: CommandLine, arguments: list[str], checkpoint: Path
) -> None:
    other = command_line.folder / "other.ckpt"
    torch.save({"state_dict": {"network.weight": torch.ones(3)}}, other)

    refused = command_line(*arguments, f"mean_teacher.checkpoint={other}", code=1)
    misfit = command_line(*arguments, f"mean_teacher.checkpoint={checkpoint}", "model.recurrent_units=16", code=1)

    assert f"error: mean_teacher.checkpoint={other}: network.weight: unexpected in the state dictionary" in refused
    assert "sed_student.rnn.rnn.weight_ih_l0: found shape [24, 8]; expected [48, 8]" in misfit
    assert "Traceback" not in refused + misfit
    assert "features  " not in refused + misfit
