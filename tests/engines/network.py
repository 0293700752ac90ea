"""A network of a test: hosts with addresses of their own, on one kernel. Needs root."""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from tests.engines import hosts
from tests.engines.hosts import Host

_NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET of sched.h; Python has os.unshare from 3.12 on
_THIS_NETWORK = "/proc/thread-self/ns/net"
#: The address of the test itself on its network.
ADDRESS = "10.77.0.1"


@dataclass(slots=True)
class Network:
    """Hosts by name, each with an address and a loopback of its own."""

    hosts: dict[str, Host]
    addresses: dict[str, str]

    def start(self, name: str) -> None:
        """Start a host and connect it."""
        host = hosts.start_host(name, ["--net"])
        self.hosts[name] = host
        _run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(host.first))
        _run("ip", "link", "set", f"to-{name}", "master", "bridge0", "up")
        address = f"{self.addresses[name]}/24"
        for words in ("link set lo up", f"address add {address} dev eth0", "link set eth0 up"):
            _run(*host.command("ip", *words.split()))

    def kill(self, name: str) -> None:
        """Kill all processes of a host at once, and take it off the network."""
        self.hosts[name].kill()
        # The kernel does so too, but only some time later.
        subprocess.run(["ip", "link", "delete", f"to-{name}"], capture_output=True, timeout=60)

    def restart(self, name: str) -> None:
        """Kill a host and start it again, with nothing running on it."""
        self.kill(name)
        self.start(name)


@cache
def can_make_networks() -> bool:
    """Whether this user may create networks of namespaces, and the kernel has what they are made of."""
    trial = "ip link add one type veth peer name other && ip link add bridge0 type bridge"
    try:
        return subprocess.run(["unshare", "--net", "sh", "-c", trial], capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


@contextmanager
def start_network(names: Sequence[str]) -> Iterator[Network]:
    """Move this thread, and what it starts, into a network of its own with these hosts; afterwards all of them end."""
    before = os.open(_THIS_NETWORK, os.O_RDONLY)
    network = Network({}, {name: f"10.77.0.{number + 2}" for number, name in enumerate(names)})
    _call("unshare", _NETWORK_NAMESPACE)
    try:
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge0", "type", "bridge")
        _run("ip", "address", "add", f"{ADDRESS}/24", "dev", "bridge0")
        _run("ip", "link", "set", "bridge0", "up")
        for name in names:
            network.start(name)
        yield network
    finally:
        for name in network.hosts:
            network.kill(name)
        _call("setns", before, _NETWORK_NAMESPACE)
        os.close(before)


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
