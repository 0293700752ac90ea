"""Fixtures that several test modules share."""

import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from dcase_sweep.utils.cpu import set_openmp_wait_policy
from tests.compositions import compose_once
from tests.layout import make_tau
from tests.parsing import parse_once
from tests.warm import WarmProcess, WarmServer

# Tests run side by side: an operator that was split among all cores would wait for those that others use.
os.environ.setdefault("OMP_NUM_THREADS", "1")
set_openmp_wait_policy()
parse_once()
compose_once()
# absl, which TensorFlow brings, keeps what standard error is at its import and closes it when logging is configured
# anew, unless it is the real one: here it would be pytest's own file.
with suppress(ImportError), redirect_stderr(sys.__stderr__):
    import absl.logging  # noqa: F401
# Tests import TensorFlow themselves; see `import_tensorflow`.
with suppress(ImportError):
    import_module("triton")

SHARED = Path(__file__).resolve().parents[2] / "shared"
#: Figures take longer to draw than a tiny network to train: tests that look at them ask for them.
UNDRAWN = "tracking.figures=none"
DRAWN = "tracking.figures=auto"
#: An experiment that trains in a second: one-second clips and pools that fit their smaller map.
TINY = (
    UNDRAWN,
    "data.seconds=1",
    "model.blocks.2.pool=[4,5]",
    "training.epochs=2",
    "training.batch_size=4",
    "hardware.threads=1",
)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that run complete commands as slow, and run them first, to balance the load of the workers.

    One worker begins with a file whose command is not forked: what commands are forked from needs ten seconds to begin.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.parent in (here / "integration", here):
            item.add_marker("slow")
    items.sort(key=lambda item: ("slow" not in item.keywords, item.path.name != "test_platforms.py"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector ignore what test modules import, which would take it a sixth of the suite's time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def one_tensorflow_thread() -> None:
    """Set the number of threads of TensorFlow, which cannot be changed after its first use."""
    threading = pytest.importorskip("tensorflow", reason="TensorFlow is not installed").config.threading
    threading.set_intra_op_parallelism_threads(1)
    threading.set_inter_op_parallelism_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real recordings and published score tables next to the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real recordings: {SHARED} is not there")
    return SHARED


@pytest.fixture
def tau(tmp_path: Path) -> Path:
    """A tiny data set in TAU's layout that a test may damage."""
    return make_tau(tmp_path / "tau")


def copy_database(database: Path, folder: Path) -> Path:
    """Create a folder of runs from an empty store."""
    folder.mkdir()
    source, copy = sqlite3.connect(database), sqlite3.connect(folder / "mlflow.db")
    source.backup(copy)
    source.close()
    copy.close()
    return folder


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def database(session_folder: Path) -> Path:
    """An empty store of runs. MLflow takes three seconds to create its schema, once for all workers of pytest."""
    from dcase_sweep import tracking
    from dcase_sweep.config import Tracking

    folder = session_folder / "database"
    with FileLock(session_folder / "database.lock"):
        if not (folder / "mlflow.db").is_file():
            uri = f"sqlite:///{folder / 'mlflow.db'}"
            tracking.open_store(Tracking(uri=uri, folder=str(folder), experiment="none"))
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def no_tracking_address() -> Iterator[None]:
    """No address of a store in the environment, where an earlier test may have left one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture
def mlruns(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs for one test, which this process has not opened yet."""
    from dcase_sweep import tracking

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.stores._stores.clear()
    return copy_database(database, tmp_path / "mlruns")


@dataclass
class CommandLine:
    """``python -m dcase_sweep`` in a folder of its own, with its own feature store.

    Args:
        warm: what commands are forked from; None = each is started as people start it, which takes it longer.
        warm_workers: whether the workers of a search are forked, too.
    """

    folder: Path
    warm: WarmServer | None = None
    warm_workers: bool = True

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HYDRA_"))}
        return kept | {"DCASE_SWEEP_CACHE": str(self.folder / "cache"), "PYTHONWARNINGS": "ignore"}

    def start(self, *arguments: str, **how: Any) -> "subprocess.Popen[str] | WarmProcess":
        """Start the command without waiting; ``how`` are further arguments of ``WarmServer.start``."""
        if self.warm is not None:
            how = {"folder": self.folder, "environment": self.environment(), "warm_workers": self.warm_workers, **how}
            return self.warm.start(arguments, **how)
        assert not how, f"of a forked command only: {how}"
        return subprocess.Popen(
            [sys.executable, "-m", "dcase_sweep", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run to the end, check the exit code, and return what was printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == code, output
        return output


@pytest.fixture(scope="session")
def warm(session_folder: Path) -> Iterator[WarmServer]:
    """The process from which commands are forked, one for all workers of pytest."""
    server = WarmServer(CommandLine(session_folder).environment(), name=str(session_folder))
    yield server
    server.close()


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory, warm: WarmServer, database: Path) -> CommandLine:
    """A command line whose folder the tests of a module share, with a store of runs that is empty."""
    folder = tmp_path_factory.mktemp("command_line")
    copy_database(database, folder / "mlruns")
    return CommandLine(folder, warm)


@pytest.fixture(scope="module")
def tiny(command_line: CommandLine) -> Callable[..., list[str]]:
    """Overrides for an experiment on a tiny data set, with more appended."""
    root = make_tau(command_line.folder / "tau")
    return lambda *more: ["data=tau2020", f"data.root={root}", *TINY, *more]


@contextmanager
def shown_at(width: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what this process prints be for a terminal of this width, in letters."""
    with monkeypatch.context() as patch:
        for module in [name for name in sys.modules if name.startswith("dcase_sweep.")]:
            if hasattr(sys.modules[module], "terminal_width"):
                patch.setattr(sys.modules[module], "terminal_width", lambda: width)
        patch.setenv("COLUMNS", str(width))
        yield
