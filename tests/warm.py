"""Commands without their imports: each is forked from a process that has imported what experiments need.

A tiny experiment is over in a second, but importing PyTorch, Lightning and MLflow takes it eight. What is forked is a
process like any other for all that tests look at: its arguments, folder, environment, output, signals and exit.
"""

import gc
import json
import math
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[1]
PRELOADED = (
    "dcase_sweep.cli.main",
    "dcase_sweep.runner",
    "dcase_sweep.training.scenes",
    "dcase_sweep.training.mean_teacher.learner",
    "dcase_sweep.evaluation.events.figures",
    "dcase_sweep.evaluation.scenes.figures",
    "hydra.main",
    "matplotlib.backends.backend_agg",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
)


class WarmProcess:
    """A forked command; with the parts of ``subprocess.Popen`` that tests use."""

    def __init__(self, server: "WarmServer", pid: int, output: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._output = output

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.ask(poll=self.pid)
        return self.returncode

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.poll() is None:
            os.kill(self.pid, 9)

    def communicate(self, timeout: float = math.inf) -> tuple[str, None]:
        """Wait for the end; returns what was printed, to both of its outputs.

        Raises:
            TimeoutExpired: after so many seconds; the process is killed then.
        """
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise subprocess.TimeoutExpired(str(self.pid), timeout, self._output.read_bytes())
            time.sleep(0.02)
        return self._output.read_text(), None


class WarmServer:
    """The process that commands are forked from; one thing is asked of it at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._outputs = tempfile.TemporaryDirectory()
        self._begun = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=REPOSITORY,
            # MLflow would begin a thread to tell its makers of its import, and only one thread may be forked.
            env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: object) -> int | None:
        """Send a request and read its answer."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def start(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> WarmProcess:
        """Begin ``python -m dcase_sweep`` with these arguments."""
        self._begun += 1
        output = Path(self._outputs.name) / f"{self._begun}.txt"
        pid = self.ask(arguments=arguments, folder=str(folder), environment=dict(environment), output=str(output))
        assert pid
        return WarmProcess(self, pid, output)

    def close(self) -> None:
        """End it; the commands that still run are not its business."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._outputs.cleanup()


def _become(arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Turn this forked process into the command."""
    import numpy as np

    np.random.seed()  # noqa: NPY002 - as in a process of its own, nothing may rely on the state that was inherited
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for opened, standard in ((os.open(os.devnull, os.O_RDONLY), 0), (written, 1), (written, 2)):
        os.dup2(opened, standard)
    sys.path[0] = folder
    sys.argv = ["dcase_sweep", *arguments]
    runpy.run_module("dcase_sweep", run_name="__main__", alter_sys=True)


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _preload() -> None:
    """Import everything but onnxruntime, which torchmetrics takes where it is: its threads do not outlive a fork."""
    stand_in = ModuleType("onnxruntime")
    stand_in.__spec__ = ModuleSpec(stand_in.__name__, None)
    stand_in.InferenceSession = object  # type: ignore[attr-defined]
    sys.modules[stand_in.__name__] = stand_in
    for name in PRELOADED:
        import_module(name)
    del sys.modules[stand_in.__name__]
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # or each process would go through all that was imported when it ends: two seconds


def _serve() -> None:
    _preload()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            print(json.dumps(_poll(request["poll"])), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            return _become(**request)
        print(pid, flush=True)


if __name__ == "__main__":
    _serve()
