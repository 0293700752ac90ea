"""Which process owns something that is written down: a run, a trial, a lock.

A process number alone does not tell: numbers are reused, and every container and every host has its own. Together with
the boot of the machine, the namespace of the number and the time at which the process started it is unique.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = "/proc/self/ns/pid"
#: host, machine, process number, start; the host last, since its name may hold anything.
_PATTERN = re.compile(
    r"(?P<number>\d{1,10})@(?P<start>[\d.]{1,24})@(?P<machine>[\w.:\-\[\]]{1,120})@(?P<host>.{0,255})"
)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, told apart from every other one that ever ran.

    Attributes:
        number: the process id.
        start: when it started: clock ticks since boot on Linux, seconds since 1970 elsewhere.
        machine: the boot of the machine and the namespace of process ids: a container, a host and a reboot each have
            another one.
        host: the host's name, for people.
    """

    number: int
    start: str
    machine: str
    host: str

    def __str__(self) -> str:
        return f"{self.number}@{self.start}@{self.machine}@{self.host}"

    @property
    def is_local(self) -> bool:
        """Whether the process belongs to this boot and this namespace, so that this process can see it."""
        return self.machine == _machine()

    @property
    def is_running(self) -> bool | None:
        """Whether the process still runs; None where that cannot be seen from here."""
        if not self.is_local:
            return None
        return _start_of(self.number) == self.start


def this_process() -> ProcessIdentity:
    """The identity of the calling process; a fork has another one."""
    number = os.getpid()
    return ProcessIdentity(number, _start_of(number) or "0", _machine(), socket.gethostname())


def parse_identity(text: str) -> ProcessIdentity | None:
    """The identity that ``str`` gave; None for any other text."""
    found = _PATTERN.fullmatch(text)
    return ProcessIdentity(int(found["number"]), found["start"], found["machine"], found["host"]) if found else None


def _machine() -> str:
    """The boot and the namespace that a process number belongs to."""
    try:
        return f"{_BOOT.read_text().strip()}:{os.readlink(_NAMESPACE)}"
    except OSError:  # not Linux
        return re.sub(r"[^\w.\-]", "-", socket.gethostname())[:120] or "-"


def _start_of(number: int) -> str | None:
    """When a process of this machine started; None if there is none, or if it has ended and waits to be collected."""
    if Path("/proc/self/stat").exists():
        try:
            # The second field, the command's name, may hold blanks and brackets.
            fields = Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    import psutil

    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None
