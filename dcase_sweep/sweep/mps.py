"""NVIDIA's Multi-Process Service (MPS), with which kernels of different processes run on a GPU at the same time.

Without it a GPU executes the kernels of one process at a time. See https://docs.nvidia.com/deploy/mps/.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dcase_sweep.utils.environment import changed_environment
from dcase_sweep.utils.gpus import VISIBLE, find_visible_gpus
from dcase_sweep.utils.text import printable

CONTROL = "nvidia-cuda-mps-control"
_PIPES, _LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
#: MPS's own folder, unless another one is set.
_DEFAULT_PIPES = "/tmp/nvidia-mps"
#: The largest number of processes on a GPU that MPS serves on every GPU since Volta.
_MOST = 48
#: Seconds within which the daemon answers, and within which it starts or stops.
_ANSWER, _START = 10.0, 30.0

_TURNS = "so kernels of different workers take turns"
_TOGETHER = "kernels of different workers run at the same time"

#: Uses a GPU as a client of MPS, and prints the error of CUDA: 0 = none.
_PROBE = """
import ctypes
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError:
    print(0)
else:
    device, context = ctypes.c_int(), ctypes.c_void_p()
    print(
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    )
"""
#: Waits until its input ends, which is when the command stops the daemon or ends in any way, also killed.
_STOP = 'cat > /dev/null; echo quit | "$1"; rm -rf "$2"'


class _StartError(Exception):
    """MPS did not start."""


@contextmanager
def running_mps(processes: int) -> Iterator[str]:
    """Context in which MPS runs, if it is installed; processes that are started in it use it.

    A daemon that runs already is used. One that is started here has folders of its own, and ends with the context, or
    with this process, if that is killed.

    Args:
        processes: how many processes use one GPU.

    Yields:
        In words, how kernels of different processes are executed.
    """
    control = shutil.which(CONTROL)
    if control is None:
        yield f"{CONTROL} is not on the PATH, {_TURNS}"
    elif processes > _MOST:
        yield f"MPS serves at most {_MOST} processes of a GPU, {_TURNS}"
    elif _is_running(control):
        yield f"MPS runs already: {_TOGETHER}"
    else:
        with _started(control) as problem:
            yield f"MPS did not start ({problem}), {_TURNS}" if problem else f"MPS started: {_TOGETHER}"


def _is_running(control: str) -> bool:
    """Whether a daemon answers."""
    if not os.path.exists(os.path.join(os.environ.get(_PIPES) or _DEFAULT_PIPES, "control")):
        return False
    try:
        asked = subprocess.run(
            [control], input=b"get_server_list\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_ANSWER
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


@contextmanager
def _started(control: str) -> Iterator[str]:
    """Context in which a daemon runs. Yields why it did not start; empty if it did."""
    folder = tempfile.mkdtemp(prefix="dcase-mps-")
    variables = {_PIPES: os.path.join(folder, "pipe"), _LOGS: os.path.join(folder, "log")}
    for path in variables.values():
        os.mkdir(path)
    stopper = subprocess.Popen(
        ["sh", "-c", _STOP, "sh", control, folder],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is handled by the command
    )
    assert stopper.stdin is not None
    try:
        problem = ""
        clients = variables | _rename_gpus()
        try:
            _start(control, folder, variables)
            _probe(clients)
        except _StartError as error:
            problem, clients = str(error), {}
        with changed_environment(clients):
            yield problem
    finally:
        stopper.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            stopper.wait(_START)


def _start(control: str, folder: str, variables: Mapping[str, str]) -> None:
    """Start the daemon.

    Raises:
        _StartError: if it does not start.
    """
    output = Path(folder) / "output"
    try:
        with output.open("wb") as handle:  # a pipe would be kept open by the daemon
            code = subprocess.run(
                [control, "-d"],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                timeout=_START,
            ).returncode
    except OSError as error:
        raise _StartError(error.strerror or type(error).__name__) from None
    except subprocess.TimeoutExpired:
        raise _StartError(f"no answer within {_START:.0f} s") from None
    if code != 0:
        said = " ".join(output.read_text(errors="replace").split())
        raise _StartError(printable(f"exit code {code}{': ' if said else ''}{said}", 200))


def _probe(variables: Mapping[str, str]) -> None:
    """Use a GPU once as a client: a daemon may run and serve nobody, for example in a container.

    Raises:
        _StartError: if CUDA reports an error.
    """
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_START,
        )
    except subprocess.TimeoutExpired:
        raise _StartError(f"a process that uses it had no answer within {_START:.0f} s") from None
    error = asked.stdout.decode(errors="replace").strip()
    if error != "0":
        raise _StartError(f"a process that uses it gets error {printable(error, 20) or 'unknown'} of CUDA")


def _rename_gpus() -> dict[str, str]:
    """Return the variable by which clients name their GPUs.

    A daemon numbers the GPUs that it is shown from 0; names of the form ``GPU-...`` stay.
    """
    names = find_visible_gpus()
    if VISIBLE not in os.environ or not all(name.isdigit() for name in names):
        return {}
    return {VISIBLE: ",".join(str(index) for index in range(len(names)))}
