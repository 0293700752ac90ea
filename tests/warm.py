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
import multiprocessing.process
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from multiprocessing import forkserver, spawn
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, NoReturn, TextIO

from omegaconf import OmegaConf

import dcase_sweep
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.training.keras.library import import_tensorflow, is_installed
from tests.compositions import compose_before, compose_once
from tests.parsing import parse_once

REPOSITORY = Path(__file__).resolve().parents[1]
#: What commands import sooner or later, beside the modules of this package.
PRELOADED = (
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "alembic.command",
    "hydra.main",
    "matplotlib.backends.backend_agg",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.utils.spark_utils",
    "optuna.importance._fanova",
    "optuna.importance._ped_anova",
    "optuna.visualization.matplotlib",
    "plotly.graph_objects",
    "plotly.io",
    "sklearn.datasets",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
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
        with suppress(ProcessLookupError):  # its end was seen before
            self._wait(timeout)
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise subprocess.TimeoutExpired(str(self.pid), timeout, self._output.read_bytes())
            time.sleep(0.02)
        return self.printed(), None

    def _wait(self, timeout: float) -> None:
        """Wait for the end without asking for it again and again, which takes time of the processor."""
        ending = os.pidfd_open(self.pid)
        try:
            select.select([ending], [], [], None if math.isinf(timeout) else timeout)
        finally:
            os.close(ending)

    def printed(self) -> str:
        """What was printed so far."""
        return self._output.read_text()


class WarmServer:
    """The process from which commands are forked. It handles one request at a time.

    Args:
        environment: of its own.
        name: of a server that several processes use: the first one starts it, and it ends with the last one. None =
            one for this process alone.
    """

    def __init__(self, environment: Mapping[str, str], name: str | None = None) -> None:
        self._outputs = tempfile.TemporaryDirectory()
        self._begun = 0
        address = f"\0dcase-sweep-tests-{name or self._outputs.name}"  # no file
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket(socket.AF_UNIX) as listener:
            with suppress(OSError):  # another process has started it
                listener.bind(address)
                listener.listen()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.warm", str(listener.fileno())],
                    cwd=REPOSITORY,
                    # MLflow would begin a thread to tell its makers of its import, and only one thread may be forked.
                    env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[listener.fileno()],
                )
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(address)
        self._stream = self._socket.makefile("rw")

    def ask(self, **request: object) -> int | None:
        """Send a request and read its answer."""
        print(json.dumps(request), file=self._stream, flush=True)
        answer: int | None = json.loads(self._stream.readline())
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
        module: str = "dcase_sweep",
        script: str | None = None,
    ) -> WarmProcess:
        """Start ``python -m dcase_sweep``, another module or a script with these arguments.

        Args:
            arguments: of the command.
            folder: where it runs.
            environment: all of its environment.
            terminal: the name of a terminal that becomes its own, as sshd does for a shell; None = it has none, and
                what it prints goes to a file.
            ignored: signals that it is started without, as nohup does.
            warm_workers: whether the workers of its search are forked, too; otherwise they are started as people's are.
            module: what is run as by ``-m``.
            script: the path of a script, which is run instead of a module.
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
            module=module,
            script=script,
        )
        assert pid
        return WarmProcess(self, pid, output)

    def close(self) -> None:
        """Stop the process when nobody else uses it. Running commands are not affected."""
        self._stream.close()
        self._socket.close()
        if self._process is not None:
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
    module: str,
    script: str | None,
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
    sys.argv = [script or module, *arguments]
    multiprocessing.process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]
    if warm_workers and any(word in ("-m", "join") or word.startswith(("search=", "resume=")) for word in arguments):
        _fork_workers()
    try:
        if script is None:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(script, run_name="__main__")
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
        with suppress(ModuleNotFoundError):  # earlier versions of MLflow lack some
            import_module(name)
    if is_installed():
        import_tensorflow()
    for module in walk_packages(dcase_sweep.__path__, "dcase_sweep."):
        with suppress(ImportError):  # some need a library that is not installed
            import_module(module.name)
    del sys.modules[stand_in.__name__]
    parse_once()
    for path in conf_folder().rglob("*.yaml"):
        OmegaConf.load(path)
    compose_once()
    compose_before()
    for finalizer in weakref.finalize._registry:  # type: ignore[attr-defined]
        if finalizer.peek()[1].__module__ == "torch.library":
            finalizer.atexit = False  # its operators end with the process; to take each back takes longer
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # or each process would go through all that was imported when it ends: two seconds


def _serve(listener: socket.socket) -> None:
    """Answer requests until everybody who has connected has left."""
    _preload()
    clients: dict[socket.socket, TextIO] = {}
    is_first = True
    while clients or is_first:
        for ready in select.select([listener, *clients], [], [])[0]:
            if ready is listener:
                client, _ = listener.accept()
                clients[client], is_first = client.makefile("rw"), False
            elif line := clients[ready].readline():
                request = json.loads(line)
                if "poll" in request:
                    answer = _poll(request["poll"])
                else:
                    answer = os.fork()
                    if answer == 0:
                        for each in (listener, *clients):
                            os.close(each.detach())
                        return _become(**request)
                print(json.dumps(answer), file=clients[ready], flush=True)
            else:
                clients.pop(ready).close()
                ready.close()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
