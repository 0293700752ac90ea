"""Properties of other systems, simulated: missing POSIX modules, and forbidden characters in file names."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dcase_sweep.evaluation.events.detections_file import DETECTIONS
from dcase_sweep.tracking import fold_pooling
from tests.conftest import DRAWN, TINY, CommandLine, copy_database
from tests.layout import make_tau

ROOT = Path(__file__).resolve().parents[1]
#: Hides from this package what Python has on POSIX systems only. Other packages, which have code for Windows, are
#: imported before. Then every module of the package is imported and the commands are run, separated by ``--``.
AS_WITHOUT_POSIX = """
import os, pkgutil, signal, sys
from importlib import import_module
from types import ModuleType

for name in ("filelock", "hydra.main", "hydra.core.plugins", "joblib", "mlflow.store.tracking.sqlalchemy_store",
             "matplotlib.pyplot", "optuna", "psutil", "pytorch_lightning", "rich.progress", "scipy.signal", "soundfile",
             "mlflow.pyfunc.model", "cloudpickle", "yaml", "http.server", "multiprocessing.popen_spawn_posix"):
    import_module(name)
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
hidden = ("fork", "forkpty", "getpgid", "getuid", "killpg", "mkfifo", "nice", "posix_fallocate", "posix_fadvise",
          "pread", "preadv", "pwrite", "register_at_fork", "sched_getaffinity", "setsid", "statvfs", "sysconf",
          "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW",
          "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGALRM", "setitimer")
for module in (os, signal):
    lacking = ModuleType(module.__name__)
    vars(lacking).update({name: value for name, value in vars(module).items() if name not in hidden})
    sys.modules[module.__name__] = lacking

import dcase_sweep
from dcase_sweep.__main__ import main

for module in pkgutil.walk_packages(dcase_sweep.__path__, "dcase_sweep."):
    if not module.name.startswith(("dcase_sweep.__main__", "dcase_sweep.training.keras", "dcase_sweep.cli.project")):
        import_module(module.name)
words = " ".join(sys.argv[1:]).split(" -- ")
sys.exit(next((code for code in (main(each.split()) for each in words) if code), 0))
"""
#: What Windows does not take in the name of a file, and how no name may end there.
REFUSED = set('<>:"\\|?*')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """Of a project whose commands ran without what only POSIX systems have."""
    folder = tmp_path_factory.mktemp("without_posix")
    copy_database(database, folder / "mlruns")
    root = make_tau(folder / "tau")
    tiny = ["data=tau2020", f"data.root={root}", *TINY, DRAWN]
    commands = [["-m", "seed=0,1", *tiny], ["compare"], ["runs"], ["cache", "--prune", "--older-than", "0h"]]
    words = " -- ".join(" ".join(each) for each in commands).split()
    done = subprocess.run(
        [sys.executable, "-c", AS_WITHOUT_POSIX, *words],
        cwd=folder,
        env=CommandLine(folder).environment() | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "output.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_a_sweep_needs_nothing_that_only_posix_systems_have(folder: Path) -> None:
    output = (folder / "output.txt").read_text(encoding="utf-8")

    assert "2 of 2 jobs finished" in output
    assert "sweep over seed" in output
    assert [each.name for each in (folder / "cache").rglob("features.npy")] == []


def test_names_of_files_suit_windows(folder: Path) -> None:
    names = [name for _, folders, files in os.walk(folder) for name in (*folders, *files)]

    assert len(names) > 30
    assert [name for name in names if REFUSED & set(name) or name.endswith((".", " "))] == []


def test_folds_are_pooled_where_only_administrators_may_make_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, whose files are then copied."""
    logged = tmp_path / DETECTIONS
    logged.write_text("filename\tonset\toffset\tevent_label\n", encoding="utf-8")
    pooled: list[str] = []

    def refuse(self: Path, target: Path) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(fold_pooling, "is_of_events", lambda parameters: True)
    monkeypatch.setattr(fold_pooling, "read_event_rules", lambda parameters: None)
    monkeypatch.setattr(
        fold_pooling,
        "evaluate_event_files",
        lambda folders, rules: pooled.extend((folder / DETECTIONS).read_text(encoding="utf-8") for folder in folders),
    )
    run: Any = SimpleNamespace(id="1", parameters={}, fetch=lambda name, folder: logged)

    fold_pooling._evaluate([run])

    assert pooled == [logged.read_text(encoding="utf-8")]
