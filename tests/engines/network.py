"""A network of a test: hosts with addresses, names and processes of their own, on one kernel. Needs root."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET of sched.h; Python has os.unshare from 3.12 on
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of sys/prctl.h
_THIS_NETWORK = "/proc/thread-self/ns/net"
#: The first process of a host: it waits for processes whose parents have ended, as the first process of a machine does.
_FIRST = 'hostname "$0" && echo ready && while :; do sleep 1000 & wait; done'
#: The address of the test itself on its network.
ADDRESS = "10.77.0.1"


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the network: with a host name, an address, a loopback and processes of its own."""

    name: str
    address: str
    #: ``unshare``, which waits for the first process of the host; the kernel ends that and all others with it.
    process: "subprocess.Popen[str]"

    def command(self, *words: str) -> list[str]:
        """A command that runs these words on the host."""
        return ["nsenter", f"--target={self.first}", "--net", "--uts", "--pid", "--mount", f"--wd={os.getcwd()}", *words]

    @property
    def first(self) -> int:
        """The process ID of the host's first process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def kill(self) -> None:
        """Kill all processes of the host at once, as a power failure does, and take it off the network."""
        self.process.kill()
        self.process.wait()
        subprocess.run(["ip", "link", "delete", f"to-{self.name}"], capture_output=True, timeout=60)

    def cut_off(self) -> None:
        """Unplug the host from the network; its processes go on."""
        _run("ip", "link", "set", f"to-{self.name}", "down")

    def plug_in(self) -> None:
        """Connect the host again."""
        _run("ip", "link", "set", f"to-{self.name}", "up")


@cache
def can_make_networks() -> bool:
    """Whether this user may create networks of namespaces, and the kernel has what they are made of."""
    trial = "ip link add one type veth peer name other && ip link add bridge0 type bridge"
    try:
        return subprocess.run(["unshare", "--net", "sh", "-c", trial], capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


@contextmanager
def start_network(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Move this thread, and what it starts, into a network of its own with these hosts; afterwards all of them end.

    Yields:
        The hosts by name.
    """
    before = os.open(_THIS_NETWORK, os.O_RDONLY)
    hosts: dict[str, Host] = {}
    _call("unshare", _NETWORK_NAMESPACE)
    try:
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge0", "type", "bridge")
        _run("ip", "address", "add", f"{ADDRESS}/24", "dev", "bridge0")
        _run("ip", "link", "set", "bridge0", "up")
        for number, name in enumerate(names):
            hosts[name] = start_host(name, f"10.77.0.{number + 2}")
        yield hosts
    finally:
        for host in hosts.values():
            host.kill()
        _call("setns", before, _NETWORK_NAMESPACE)
        os.close(before)


def start_host(name: str, address: str) -> Host:
    """Start a host on the network of this thread."""
    process = subprocess.Popen(
        ["unshare", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _FIRST, name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
    host = Host(name, address, process)
    _run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(host.first))
    _run("ip", "link", "set", f"to-{name}", "master", "bridge0", "up")
    for words in (["link", "set", "lo", "up"], ["address", "add", f"{address}/24", "dev", "eth0"]):
        _run(*host.command("ip", *words))
    _run(*host.command("ip", "link", "set", "eth0", "up"))
    return host


def end_with_parent() -> None:
    """In a new process: let the kernel kill it when its parent ends, also if that is killed itself.

    Signals that the test ignores, as under nohup, are not ignored in it.
    """
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def _call(name: str, *values: int) -> None:
    """Call a function of the C library.

    Raises:
        OSError: if it fails.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*values) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
