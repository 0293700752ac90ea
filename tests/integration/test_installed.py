"""An installed wheel finds its configuration and works from any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling, which is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=REPOSITORY, check=True
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_conf_and_experiments(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    here = {f"dcase_sweep/{path.relative_to(REPOSITORY)}" for path in REPOSITORY.glob("conf/**/*.yaml")}
    here |= {f"dcase_sweep/{path.relative_to(REPOSITORY)}" for path in REPOSITORY.glob("experiments/*.yaml")}
    assert here <= names
    assert not any(name.startswith("tests/") for name in names)


def test_the_script_finds_modules_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/own.yaml").write_text("_target_: net_of_mine.Net\n")
    (tmp_path / "net_of_mine.py").write_text("raise RuntimeError('imported')")
    script = tmp_path / "bin/dcase-sweep"
    script.parent.mkdir()
    script.write_text("import sys\nfrom dcase_sweep.__main__ import script\nsys.exit(script())\n")

    done = subprocess.run(
        [sys.executable, str(script), "complexity", "--config-dir", "conf", "model=own"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (
        1,
        "error: model._target_=net_of_mine.Net: RuntimeError: imported; expected the full name of a class\n",
    )


def test_the_wheel_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(installed)
    elsewhere.mkdir()
    (elsewhere / "scores.txt").write_text("0.9 0.1\n0.4 0.6\n")
    (elsewhere / "truth.csv").write_text("filename,scene_label\na.wav,bus\nb.wav,tram\n")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dcase_sweep", *arguments],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "accuracy 1.0000" in run("evaluate", "scenes", "scores.txt", "truth.csv")
    composed = run("+experiment=task1a_layer5", "data.root=/tau", "--cfg", "job")
    assert "name: tau2020" in composed
    assert str(installed) in run("--cfg", "hydra")
