"""Generated folders: incomplete ones are recognised, also on full and read-only disks."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcase_sweep.demo import generation
from dcase_sweep.demo.generation import generate_once, read_marker, write_wav
from dcase_sweep.demo.scenes import generate_scenes, is_complete
from dcase_sweep.demo.tau import DemoScenes
from dcase_sweep.utils.errors import UserError, describe_os_error
from dcase_sweep.utils.leases import claim
from tests.mounts import tmpfs

TINY: dict[str, Any] = {"train_clips": 20, "test_clips": 10, "seconds": 0.5, "sample_rate": 8000}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_of_the_file_and_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(path: Path, data: bytes) -> int:
        with open(path, "wb") as handle:
            handle.write(data[:100])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"clip\.wav") as caught:
        write_wav(tmp_path / "clip.wav", np.zeros(4000), sample_rate=8000, subtype="PCM_24")

    assert caught.value.errno == code
    line = describe_os_error(caught.value)
    assert line is not None
    assert line.startswith(f"{tmp_path}: no space left on the disk")
    assert list(tmp_path.iterdir()) == []


def test_a_generation_on_a_full_disk_is_continued_when_there_is_space(tmp_path: Path) -> None:
    root = tmp_path / "small" / "scenes"
    with tmpfs(tmp_path / "small", kib=200) as remount:
        with pytest.raises(OSError, match="audio") as caught:
            generate_scenes(root, **TINY)
        assert caught.value.errno == errno.ENOSPC
        assert not is_complete(root, **TINY)
        assert not list(root.rglob("*.part"))
        remount("size=4m")
        generate_scenes(root, **TINY)
        assert is_complete(root, **TINY)


def test_only_complete_recordings_on_a_read_only_disk_are_used(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", kib=4096) as remount:
        generate_scenes(tmp_path / "disk/scenes", **TINY)
        remount("ro")
        root, other = tmp_path / "disk/scenes", tmp_path / "disk/other"
        generate_once(root, is_complete=lambda: is_complete(root, **TINY), generate=pytest.fail)
        with pytest.raises(UserError, match=r"Read-only file system; the demo's recordings.*set data\.root"):
            generate_once(other, is_complete=lambda: False, generate=pytest.fail)


def test_a_folder_that_is_used_cannot_be_claimed(tmp_path: Path) -> None:
    root = tmp_path / "scenes"
    generate_once(root, is_complete=lambda: is_complete(root, **TINY), generate=lambda: generate_scenes(root, **TINY))

    with claim(root / "generator.json") as is_free:
        assert not is_free
    code = "import sys; from pathlib import Path; from dcase_sweep.utils.leases import claim\n"
    code += "with claim(Path(sys.argv[1])) as free: print(free)"
    command = [sys.executable, "-c", code, str(root / "generator.json")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("text", ["{", "[]", "[" * 60_000, '{"complete": true}', '{"parameters": 5}', "\0", "9" * 6000])
def test_a_damaged_marker_has_everything_generated_again(tmp_path: Path, text: str) -> None:
    generate_scenes(tmp_path, **TINY)
    (tmp_path / "generator.json").write_text(text)
    recording = next((tmp_path / "audio").iterdir())
    os.utime(recording, (1, 1))

    assert not is_complete(tmp_path, **TINY)
    generate_scenes(tmp_path, **TINY)

    assert is_complete(tmp_path, **TINY)
    assert recording.stat().st_mtime != 1


def test_recordings_of_another_version_are_replaced(tmp_path: Path) -> None:
    generate_scenes(tmp_path, **TINY)
    marker = json.loads((tmp_path / "generator.json").read_text())
    marker["parameters"]["version"] = 0
    (tmp_path / "generator.json").write_text(json.dumps(marker))
    recording = next((tmp_path / "audio").iterdir())
    os.utime(recording, (1, 1))

    generate_scenes(tmp_path, **TINY)

    assert recording.stat().st_mtime != 1


def test_a_marker_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "generator.json")

    assert read_marker(tmp_path) is None


def test_too_little_space_is_reported_before_anything_is_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "free_bytes", lambda path: 2**20)
    demo = DemoScenes(name="demo", root=str(tmp_path))

    with pytest.raises(UserError, match=r"the generated recordings take .* free"):
        demo.prepare(lambda done, total: None)
    assert not list(tmp_path.rglob("*.wav"))
