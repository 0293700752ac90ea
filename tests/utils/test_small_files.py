"""Tests of small files that may be damaged, or something else than files."""

import os
from pathlib import Path

import pytest

from dcase_sweep.utils.small_files import read_object, read_small


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"scene": "tram", "clips": 3}')

    assert read_object(tmp_path / "result.json", 100) == {"scene": "tram", "clips": 3}


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"a": ', b'{"a": "\xff"}', b"[" * 10_000, b'{"a": 1}' + b" " * 20_000]
)
def test_anything_else_counts_as_missing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)

    assert read_object(tmp_path / "result.json", 9999) is None


def test_neither_a_folder_nor_a_missing_file_is_read(tmp_path: Path) -> None:
    assert read_small(tmp_path, 100) is None
    assert read_small(tmp_path / "missing", 100) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert read_small(tmp_path / "pipe", 100) is None
