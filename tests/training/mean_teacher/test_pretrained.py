"""Published checkpoints: their weights, and one line for any other file."""

import argparse
from pathlib import Path

import pytest
import torch

from dcase_sweep.audio.amplitude_mel import AmplitudeMel
from dcase_sweep.training.mean_teacher.pretrained import read_state_dict, scale_as_published
from dcase_sweep.utils.errors import UserError


class Harmful:
    """Writes a file when it is unpickled the usual way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (open, (str(self.path), "w"))


def test_tensors_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    weights = {"sed_student.dense.bias": torch.arange(3.0)}
    trap = tmp_path / "trap"
    settings = argparse.Namespace(lr=1e-3)
    content = {"state_dict": weights, "hyper_parameters": settings, "callbacks": {Harmful: [Harmful(trap)]}}
    torch.save(content, tmp_path / "published.ckpt")

    state = read_state_dict(tmp_path / "published.ckpt")

    assert torch.equal(state["sed_student.dense.bias"], weights["sed_student.dense.bias"])
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file; expected the published Lightning checkpoint"),
        ("text", "not a PyTorch checkpoint"),
        ({"weights": torch.ones(1)}, "no state_dict of tensors"),
        ({"state_dict": {"epoch": 3}}, "no state_dict of tensors"),
    ],
)
def test_other_files_are_rejected_in_one_line(tmp_path: Path, content: object, says: str) -> None:
    path = tmp_path / "other.ckpt"
    if content == "text":
        path.write_text("not a checkpoint")
    elif content is not None:
        torch.save(content, path)

    with pytest.raises(UserError, match=says) as caught:
        read_state_dict(path)

    assert str(caught.value).startswith(f"mean_teacher.checkpoint={path}: ")
    assert "\n" not in str(caught.value)


def test_torchscript_and_weights_that_are_no_numbers_are_rejected(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(tmp_path / "script.ckpt"))
    torch.save({"state_dict": {"sed_student.a": torch.tensor([float("nan")])}}, tmp_path / "nan.ckpt")
    torch.save({"state_dict": {"sed_student.a": torch.ones(1).expand(10**6, 10**6)}}, tmp_path / "large.ckpt")

    for name, says in (("script", "TorchScript"), ("nan", "sed_student.a holds NaN"), ("large", "larger than its")):
        with pytest.raises(UserError, match=says):
            read_state_dict(tmp_path / f"{name}.ckpt")


def test_the_networks_of_2021_are_given_what_they_learned_from() -> None:
    front_end, other = AmplitudeMel(), AmplitudeMel(scaled_to=[-1.0, 1.0])

    scale_as_published(front_end)
    scale_as_published(other)

    mel = torch.tensor([[[1.0, 10.0, 100.0]]])
    torch.testing.assert_close(front_end.normalise(mel), torch.tensor([[[0.0, 0.5, 1.0]]]))
    torch.testing.assert_close(other.normalise(mel), torch.tensor([[[-1.0, 0.0, 1.0]]]))
