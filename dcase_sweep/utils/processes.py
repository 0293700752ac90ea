"""Identities of processes, stored with a run, a trial or a lock to name its owner.

A process id alone is not unique: ids are reused, and every container and host has its own. It is unique together with
the boot of the machine, the namespace of process ids and the start time of the process.
"""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = "/proc/self/ns/pid"
#: The host comes last because its name may contain any character.
_PATTERN = re.compile(
    r"(?P<number>\d{1,10})@(?P<start>[\d.]{1,24})@(?P<machine>[\w.:\-\[\]]{1,120})@(?P<host>.{0,255})"
)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A unique identity of a process.

    Attributes:
        number: the process id.
        start: start time: clock ticks since boot on Linux, seconds since 1970 elsewhere.
        machine: the boot of the machine and the namespace of process ids. It differs between containers and hosts, and
            after a reboot.
        host: the name of the host, for messages.
    """

    number: int
    start: str
    machine: str
    host: str

    def __str__(self) -> str:
        return f"{self.number}@{self.start}@{self.machine}@{self.host}"

    @property
    def is_local(self) -> bool:
        """Whether the process belongs to this boot and namespace, so that its state can be seen from here."""
        return self.machine == _machine()

    @property
    def is_running(self) -> bool | None:
        """Whether the process is running; None if that cannot be seen from here."""
        if not self.is_local:
            return None
        return _get_start(self.number) == self.start


def this_process() -> ProcessIdentity:
    """Return the identity of the calling process; a fork has a different one."""
    number = os.getpid()
    return ProcessIdentity(number, _get_start(number) or "0", _machine(), socket.gethostname())


def parse_identity(text: str) -> ProcessIdentity | None:
    """Parse the result of ``str(identity)``; return None for any other text."""
    found = _PATTERN.fullmatch(text)
    return ProcessIdentity(int(found["number"]), found["start"], found["machine"], found["host"]) if found else None


def _machine() -> str:
    """Return the boot and the namespace of process ids."""
    try:
        return f"{_BOOT.read_text(encoding='utf-8').strip()}:{os.readlink(_NAMESPACE)}"
    except OSError:  # not Linux
        return re.sub(r"[^\w.\-]", "-", socket.gethostname())[:120] or "-"


def _get_start(number: int) -> str | None:
    """Return the start time of a process of this machine; None if it does not exist or is a zombie."""
    if Path("/proc/self/stat").exists():
        try:
            # The second field, the name of the command, may contain blanks and brackets.
            fields = (
                Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    import psutil

    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None
