"""Commands without their imports: each is forked from a process that has imported what experiments need.

A tiny experiment is over in a second, but importing PyTorch, Lightning and MLflow takes it eight. What is forked is a
process like any other for all that tests look at: its arguments, folder, environment, output, signals and exit. So are
the workers of a search that such a command starts.
"""

import atexit
import gc
import json
import math
import multiprocessing.context
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from multiprocessing import forkserver, spawn
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

REPOSITORY = Path(__file__).resolve().parents[1]
PRELOADED = (
    "dcase_sweep.cli.main",
    "dcase_sweep.runner",
    "dcase_sweep.sweep.optuna.figures",
    "dcase_sweep.sweep.optuna.worker_pool",
    "dcase_sweep.training.scenes",
    "dcase_sweep.training.mean_teacher.learner",
    "dcase_sweep.evaluation.events.figures",
    "dcase_sweep.evaluation.scenes.figures",
    "hydra.main",
    "matplotlib.backends.backend_agg",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna.visualization.matplotlib",
    "sklearn.ensemble",
    "soundfile",
    "sqlalchemy.dialects.sqlite",
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
    """The process from which commands are forked. It handles one request at a time."""

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

    def start(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        terminal: str | None = None,
        ignored: Sequence[int] = (),
        warm_workers: bool = True,
    ) -> WarmProcess:
        """Start ``python -m dcase_sweep`` with these arguments.

        Args:
            arguments: of the command.
            folder: where it runs.
            environment: all of its environment.
            terminal: the name of a terminal that becomes its own, as sshd does for a shell; None = it has none, and
                what it prints goes to a file.
            ignored: signals that it is started without, as nohup does.
            warm_workers: whether the workers of its search are forked, too; otherwise they are started as people's are.
        """
        self._begun += 1
        output = Path(self._outputs.name) / f"{self._begun}.txt"
        output.touch()
        pid = self.ask(
            arguments=arguments,
            folder=str(folder),
            environment=dict(environment),
            output=terminal or str(output),
            ignored=[int(number) for number in ignored],
            is_terminal=terminal is not None,
            warm_workers=warm_workers,
        )
        assert pid
        return WarmProcess(self, pid, output)

    def close(self) -> None:
        """Stop the process. Running commands are not affected."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._outputs.cleanup()


def _become(
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    output: str,
    ignored: list[int],
    is_terminal: bool,
    warm_workers: bool,
) -> None:
    """Turn this forked process into the command."""
    import numpy as np

    np.random.seed()  # noqa: NPY002 - as in a process of its own, nothing may rely on the state that was inherited
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    if is_terminal:
        os.setsid()  # the terminal that is opened next is this process's own
    written = os.open(output, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    read = written if is_terminal else os.open(os.devnull, os.O_RDONLY)
    for opened, standard in ((read, 0), (written, 1), (written, 2)):
        os.dup2(opened, standard)
    for opened in {read, written}:
        os.close(opened)
    sys.path[0] = folder
    sys.argv = ["dcase_sweep", *arguments]
    if warm_workers and any(word == "-m" or word.startswith(("search=", "resume=")) for word in arguments):
        _fork_workers()
    try:
        runpy.run_module("dcase_sweep", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        _end(end.code)
    _end(None)


def _end(code: object) -> NoReturn:
    """End this process as Python does, but without freeing all that was imported, which takes half a second."""
    number = code if isinstance(code, int) else 0 if code is None else 1
    if number != code and code is not None:
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            number = 120
    os._exit(number)


def _fork_workers() -> None:
    """Let the processes that this command spawns be forked: each would import for eight seconds what is here already.

    They come from Python's own server for that. It is begun here, before this process has threads. What it forks has
    the environment of the moment in which it is asked for, as what is spawned has.
    """
    describe, prepare = spawn.get_preparation_data, spawn.prepare

    def describe_with_environment(name: str) -> dict[str, Any]:
        return {**describe(name), "environment": dict(os.environ)}

    def prepare_with_environment(data: dict[str, Any]) -> None:
        import numpy as np

        np.random.seed()  # noqa: NPY002
        os.environ.clear()
        os.environ.update(data.pop("environment"))
        prepare(data)

    spawn.get_preparation_data = describe_with_environment
    spawn.prepare = prepare_with_environment
    contexts: dict[str, Any] = multiprocessing.context._concrete_contexts
    contexts["spawn"] = contexts["forkserver"]
    address = f"\0dcase-sweep-tests-{os.getpid()}"  # no file
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    is_needed, needs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(needs)
        try:
            forkserver.main(listener.detach(), is_needed, [])
        finally:
            os._exit(0)
    listener.close()
    os.close(is_needed)
    server: Any = forkserver._forkserver
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, needs, pid


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
