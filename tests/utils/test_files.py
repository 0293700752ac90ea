"""Atomic writing of files."""

import errno
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dcase_sweep.utils.files import whole_file, write_bytes, write_text


def test_a_text_and_bytes_are_written_as_given(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Tür\n")
    write_bytes(tmp_path / "b.bin", b"\x00\r\n")

    assert (tmp_path / "a.txt").read_bytes() == "Tür\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\r\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "whole")

    with suppress(ValueError), whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("ha")
        raise ValueError("half")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "whole")]


def test_a_kill_while_writing_leaves_the_earlier_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "whole")
    code = (
        "import os\nfrom dcase_sweep.utils.files import whole_file\n"
        f"with whole_file({str(tmp_path / 'a.txt')!r}) as path:\n"
        "    path.write_text('ha')\n    os.kill(os.getpid(), 9)"
    )

    ended = subprocess.run([sys.executable, "-c", code], check=False)

    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_an_error_of_a_full_disk_names_the_target_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as raised, whole_file(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert raised.value.filename == str(tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


def test_links_permissions_and_devices_are_kept(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("before")
    (tmp_path / "real.txt").chmod(0o600)
    (tmp_path / "link.txt").symlink_to("real.txt")

    write_text(tmp_path / "link.txt", "after")
    write_text("/dev/null", "nobody reads it")

    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "after"
    assert stat.S_IMODE((tmp_path / "real.txt").stat().st_mode) == 0o600
    assert Path("/dev/null").is_char_device()


def test_a_name_of_the_longest_allowed_length_can_be_written(tmp_path: Path) -> None:
    name = "ü" * 125 + ".txt"

    write_text(tmp_path / name, "whole")

    assert [path.name for path in tmp_path.iterdir()] == [name]
