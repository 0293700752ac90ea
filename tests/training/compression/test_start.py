"""The checkpoint from which a fine-tuning starts: found, read, or rejected."""

from pathlib import Path

import pytest
import torch

from dcase_sweep.config import build_model, flatten
from dcase_sweep.training.compression.start import check_start, find_start
from dcase_sweep.utils.errors import UserError
from tests.composing import composed


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a finished run of the baseline with ten classes."""
    experiment = composed()
    state = {f"network.{name}": value for name, value in build_model(experiment, classes=10).state_dict().items()}
    content = {
        "state_dict": state | {"mean": torch.zeros(40, 1), "deviation": torch.ones(40, 1)},
        "dcase_sweep": {"configuration": flatten(experiment)},
    }
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    torch.save(content, tmp_path / "run/checkpoints/best.ckpt")
    return tmp_path / "run"


def test_a_run_is_found_by_its_folder_or_its_file(finished: Path) -> None:
    best = finished / "checkpoints/best.ckpt"

    assert [find_start(str(path)) for path in (finished, best.parent, best)] == [best] * 3


def test_another_dropout_or_recipe_is_no_other_network(finished: Path) -> None:
    check_start(composed(f"compression.start={finished}", "model.dropout=0.1", "optimizer.lr=1e-4"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model=cnn4"], "model.blocks.2.pool was [4, 100], is [4, 4]"),
        (["front_end.f_max=20000"], "a run of another network (front_end.f_max was 22050.0, is 20000.0)"),
        (
            ["compression.nonzero_kib=1.2"],
            "compression.nonzero_kib=1.2: biases, normalisation and other",
        ),
    ],
)
def test_another_network_or_an_impossible_size_is_rejected(finished: Path, overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        check_start(composed(f"compression.start={finished}", *overrides))

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_shapes_are_rejected_independent_of_the_configuration(finished: Path) -> None:
    path = finished / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.head.1.bias"] = torch.zeros(50)
    torch.save(content, path)

    with pytest.raises(UserError, match=r"of another network \(head.1.bias is \[50\], expected \[100\]\)"):
        check_start(composed(f"compression.start={path}"))


def test_a_file_that_is_not_a_checkpoint_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_text("not a checkpoint")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")

    for name in ("best.ckpt", "other.ckpt"):
        with pytest.raises(UserError, match=r"not a checkpoint of a scene classifier"):
            check_start(composed(f"compression.start={tmp_path / name}"))
    with pytest.raises(UserError, match=r"compression.start=/nowhere: no checkpoint there"):
        check_start(composed("compression.start=/nowhere"))
