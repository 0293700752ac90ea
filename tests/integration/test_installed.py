"""What a wheel holds: an installed package must find its configuration."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_conf_and_experiments(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling, which is not installed")

    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=REPOSITORY, check=True
    )

    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {f"dcase_sweep/{path.relative_to(REPOSITORY)}" for path in REPOSITORY.glob("conf/**/*.yaml")}
    here |= {f"dcase_sweep/{path.relative_to(REPOSITORY)}" for path in REPOSITORY.glob("experiments/*.yaml")}
    assert here <= names
    assert not any(name.startswith("tests/") for name in names)
