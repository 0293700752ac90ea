"""Invalid configuration files: errors in one line and in bounded time."""

import os
import time
from pathlib import Path

import pytest

from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.config.files import check_config, read_config
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.utils.errors import UserError
from tests.campaign.corpus.trust import BOMB, MERGED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\nb: 2\n", r"line 2: "),
        ("a: 1\na: 2\n", r"line 2: found duplicate key a"),
        (b"a: caf\xe9", r"not text in UTF-8 \(byte 6\)"),
        (b"a: 1\0", r"control characters are not allowed"),
        ("a: !mine 3\n", r"line 1: could not determine a constructor for the tag '!mine'"),
        ("a: !!python/object/apply:os.mkdir [ran]\n", r"line 1: could not determine a constructor"),
        ("a: &a\n  b: *a\n", r"line 2: the alias \*a is within its own anchor"),
        ("a: *b\n", r"line 1: found undefined alias"),
        (BOMB, r"[\d,]+ values with its aliases expanded, more than 20,000"),
        (MERGED, r"[\d,]+ values with its aliases expanded, more than 20,000"),
        ("a: " + "x" * 300_000, r"293 KiB, more than 256 KiB"),
        ("a: " + "[" * 60, r"nested more than 50 levels deep"),
        pytest.param("a: " + "[" * 9_000, r"nested more than 50 levels deep|maximum nesting depth", id="deep"),
        ("a: " + "9" * 5_000, r"integer string conversion"),
        ("- a\n", r"a list, no keys"),
        ("a: 1\n---\nb: 2\n", r"line 2: a second document"),
        ("? [a]\n: 3\n", r"unhashable key"),
        ("a: ${oc.env\n", r"no viable alternative"),
    ],
)
def test_a_broken_file_is_rejected_in_one_line(text: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    began = time.process_time()

    with pytest.raises(UserError, match=says) as caught:
        read_config(path)

    assert time.process_time() - began < 5
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_pipes_and_devices_are_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()

    for name, says in (("fifo", "not a file"), ("folder", "not a file"), ("nowhere", "No such file")):
        with pytest.raises(UserError, match=says):
            check_config(tmp_path / f"{name}.yaml")


def test_every_file_of_this_project_is_within_the_limits() -> None:
    files = [*conf_folder().rglob("*.yaml"), *(conf_folder().parent / "experiments").glob("*.yaml")]

    for path in files:
        assert isinstance(read_config(path), dict)
    assert len(files) > 20


def test_aliases_and_merges_of_ordinary_files_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: &base {filters: 16}\nblocks:\n  - {<<: *base, pool: 2}\n  - *base\n")

    assert read_config(tmp_path / "a.yaml")["blocks"] == [{"filters": 16, "pool": 2}, {"filters": 16}]


def test_a_search_path_is_read_through_the_same_checks(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text(BOMB)

    with pytest.raises(UserError, match="values with its aliases expanded"):
        compose_experiments([f"hydra.searchpath=[file://{tmp_path}]", "model=mine"])
