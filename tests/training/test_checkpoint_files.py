"""Checkpoints from unknown sources: no code is run, and each error is one line."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dcase_sweep.training.checkpoint_files import check_archive, read_checkpoint
from dcase_sweep.utils.errors import UserError


def content(**changed: Any) -> dict[str, Any]:
    extra = {"configuration": {"seed": 0}, "choices": {"model": "cnn4"}, "run_id": "0" * 32}
    return {"state_dict": {"network.a": torch.ones(3)}, "epoch": 4, "dcase_sweep": extra, **changed}


def extra(**changed: Any) -> dict[str, Any]:
    return content(dcase_sweep=content()["dcase_sweep"] | changed)


def read(path: Path) -> Any:
    return read_checkpoint(path, where=f"run={path}", expected="best.ckpt")


def test_every_field_is_read(tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "best.ckpt")

    found = read(tmp_path / "best.ckpt")

    assert (found.configuration, found.choices) == ({"seed": 0}, {"model": "cnn4"})
    assert (found.run_id, found.epoch, list(found.state)) == ("0" * 32, 4, ["network.a"])


@pytest.mark.parametrize(
    ("saved", "says"),
    [
        ([1, 2], "it holds a list, not named fields"),
        ({"state_dict": {}}, "dcase_sweep is missing, not the record of a run"),
        (content(epoch="four"), "epoch is a str, not a number from 0 on"),
        (content(epoch=True), "epoch is a bool"),
        (content(epoch=-1), "epoch is a int, not a number from 0 on"),
        (content(state_dict=[torch.ones(1)]), "state_dict is a list, not names and tensors"),
        (content(state_dict={"network.a": 3}), "state_dict network.a is a int, not a tensor"),
        (content(state_dict={"a\x1b[2J": torch.ones(1)}), "a name that is not printable text"),
        (content(state_dict={"network.a": torch.tensor([1.0, float("nan")])}), "network.a holds NaN or infinity"),
        (content(state_dict={"network.a": torch.tensor([float("inf")])}), "network.a holds NaN or infinity"),
        (content(state_dict={"network.a": torch.ones(1, dtype=torch.complex64)}), "network.a is a Tensor"),
        (content(state_dict={"network.a": torch.ones(3).to_sparse()}), "a tensor of the kind Tensor, torch.sparse"),
        (content(state_dict={"network.a": torch.ones(1).expand(10**6, 10**6)}), "larger than its storage"),
        (content(state_dict={"network.a": torch.empty(3, device="meta")}), "not a checkpoint"),
        (extra(run_id="../../x"), "run_id is not the ID of a run"),
        (extra(run_id=7), "run_id is not the ID of a run"),
        (extra(choices=["cnn4"]), "choices is not names and choices"),
        (extra(choices={"model": "a\nb"}), "choices is not names and choices"),
        (extra(configuration=None), "its configuration is missing"),
        (extra(configuration=["seed"]), "its configuration is a list"),
        (extra(configuration={3: 4}), "a key that is not printable text"),
        (extra(configuration={"seed": {"a": 1}}), "seed is a dict"),
        (extra(configuration={"seed": 2**70}), "seed is a number of more than 64 bit"),
        (extra(configuration={"seed": float("nan")}), "seed is nan"),
        (extra(configuration={"seed": [[1]]}), "seed is a list"),
        (extra(configuration={"seed": "${oc.env:HOME}"}), "would be resolved"),
        (extra(configuration={"data.classes": ["a", "b\x07"]}), "data.classes is not printable text"),
        (extra(configuration={f"k{i}": 1 for i in range(6000)}), "has 6,000 keys"),
    ],
)
def test_fields_of_other_kinds_are_rejected(saved: Any, says: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "x.ckpt")

    with pytest.raises(UserError) as caught:
        read(tmp_path / "x.ckpt")

    assert says in str(caught.value)
    assert str(caught.value).startswith(f"run={tmp_path}/x.ckpt: not a checkpoint")
    assert str(caught.value).isprintable()


def test_values_that_hold_one_another_end(tmp_path: Path) -> None:
    nested: list[Any] = []
    nested.append(nested)
    wide: Any = "x"
    for _ in range(60):
        wide = [wide, wide]
    for name, value in (("itself", nested), ("wide", wide)):
        torch.save(extra(configuration={"seed": value}), tmp_path / name)
        with pytest.raises(UserError, match="seed is a list"):
            read(tmp_path / name)


class _Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save(content(other=_Runs(tmp_path / "ran")), tmp_path / "zip.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(_Runs(tmp_path / "ran")))
    torch.save(content(other=_Runs(tmp_path / "ran")), tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)

    for name in ("zip", "plain", "old"):
        with pytest.raises(UserError, match="not a checkpoint of this project"):
            read(tmp_path / f"{name}.ckpt")
    assert not (tmp_path / "ran").exists()


def rewritten(path: Path, change: Callable[[str, bytes], tuple[bytes, int]]) -> Path:
    """The same archive with other records."""
    saved = io.BytesIO()
    torch.save(content(), saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data, method = change(entry.filename, old.read(entry))
            new.writestr(entry.filename, data, method)
    return path


def test_an_archive_that_torch_does_not_write_is_rejected(tmp_path: Path) -> None:
    packed = rewritten(tmp_path / "packed", lambda _, data: (data + bytes(10**7), zipfile.ZIP_DEFLATED))
    other = "big" if os.sys.byteorder == "little" else "little"  # type: ignore[attr-defined]
    swapped = rewritten(
        tmp_path / "swapped",
        lambda name, data: (other.encode() if name.endswith("byteorder") else data, zipfile.ZIP_STORED),
    )
    script = tmp_path / "script"
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(script))
    behind = tmp_path / "behind"
    torch.save(content(), behind)
    behind.write_bytes(b"x" * 100 + behind.read_bytes())
    cut = tmp_path / "cut"
    cut.write_bytes(behind.read_bytes()[:-300])

    for path, says in (
        (packed, "compressed"),
        (swapped, "byte order"),
        (script, "TorchScript"),
        (behind, "does not have the size of the file"),
        (cut, "not an archive"),
    ):
        with pytest.raises(ValueError, match=says):
            check_archive(path)


def test_a_storage_larger_than_the_file_is_rejected(tmp_path: Path) -> None:
    path = rewritten(
        tmp_path / "x.ckpt",
        # The shape of the tensor in the pickle: (3,) becomes (255,), which PyTorch makes room for.
        lambda name, data: (data.replace(b"K\x03\x85", b"K\xff\x85") if "pkl" in name else data, zipfile.ZIP_STORED),
    )

    with pytest.raises(UserError, match="not a checkpoint of this project"):
        read(path)


def test_the_line_of_an_error_is_one(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_text(json.dumps({"a": 1}))

    with pytest.raises(UserError) as caught:
        read(tmp_path / "x.ckpt")

    assert str(caught.value).endswith("(not an archive of PyTorch 1.6 or later); expected best.ckpt")
