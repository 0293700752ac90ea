"""Machines of a test: namespaces with a host name and processes of their own, on one kernel."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NAMESPACES = ("--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
#: Runs a command as the first process of a machine; when it is killed, the kernel kills all processes of the machine.
_ISOLATED = ("unshare", *_NAMESPACES)
#: The first process of a machine: it waits for processes whose parents have ended, as that of every machine does.
_FIRST = 'hostname "$0" && echo ready && while :; do sleep 1000 & wait; done'
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of sys/prctl.h


@cache
def can_isolate() -> bool:
    """Whether this user may create namespaces."""
    try:
        return subprocess.run([*_ISOLATED, "true"], capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


def on_host(name: str) -> list[str]:
    """Return the words before a command that runs it on a machine of this name."""
    return [*_ISOLATED, "sh", "-c", f'hostname {name} && exec "$0" "$@"']


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on which commands can be started, until it is killed."""

    name: str
    #: ``unshare``, which waits for the first process of the host; the kernel ends that and all others with it.
    process: "subprocess.Popen[str]"

    def command(self, *words: str, folder: Path | None = None) -> list[str]:
        """A command that runs these words on the host."""
        where = f"--wd={folder or os.getcwd()}"
        return ["nsenter", f"--target={self.first}", "--net", "--uts", "--pid", "--mount", where, *words]

    @property
    def first(self) -> int:
        """The process ID of the host's first process, as it is seen from outside."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def kill(self) -> None:
        """Kill all processes of the host at once, as a power failure does."""
        self.process.kill()
        self.process.wait()


def start_host(name: str, namespaces: Sequence[str] = ()) -> Host:
    """Start a machine. It ends with the thread that has started it.

    Args:
        name: its host name.
        namespaces: further options of ``unshare``.
    """
    process = subprocess.Popen(
        ["unshare", *namespaces, *_NAMESPACES, "sh", "-c", _FIRST, name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
    return Host(name, process)


def end_with_parent() -> None:
    """In a new process: let the kernel kill it when its parent ends, also if that is killed itself.

    Signals that the test ignores, as under nohup, are not ignored in it.
    """
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
