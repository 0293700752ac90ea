"""A Ray cluster of a test: two nodes on a network of namespaces, each a host of its own."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines.install import find_ray
from tests.engines.network import Network, can_make_networks, start_network

_PORT = 6379
#: A node counts as dead when two checks of two seconds have failed. By default they are five of ten seconds.
_CHECKS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "2",
}


def find_reason() -> str | None:
    """Why there can be no cluster here; None if there can."""
    if find_ray() is None:
        return "Ray is not installed: python -m tests.engines --install-ray"
    if os.getuid() != 0 or not can_make_networks():
        return "Ray's nodes need the right to create networks of namespaces, which root has"
    return None


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A running cluster of the nodes north, which is its head, and south."""

    network: Network
    folder: Path

    def start_node(self, name: str) -> None:
        """Start Ray on a host."""
        address = self.network.addresses[name]
        words = [
            f"--node-ip-address={address}",
            "--num-cpus=2",
            "--disable-usage-stats",
            "--object-store-memory=80000000",
        ]
        head = self.network.addresses["north"]
        joined = ["--head", f"--port={_PORT}", "--include-dashboard=false", f"--temp-dir={self.folder}"]
        words += joined if name == "north" else [f"--address={head}:{_PORT}"]
        done = subprocess.run(
            self.network.hosts[name].command(str(find_ray()), "-m", "ray.scripts.scripts", "start", *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            env=self.environment(),
        )
        assert done.returncode == 0, done.stdout

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of a command on a node."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRA_", "OPTUNA_"))}
        return kept | _CHECKS | dict(variables or {})

    def start(self, *words: str, folder: Path, variables: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start a program of Python on the node north."""
        return subprocess.Popen(
            self.network.hosts["north"].command(str(find_ray()), *words, folder=folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environment(variables),
            start_new_session=True,
        )


@contextmanager
def start_ray() -> Iterator[RayCluster]:
    """Start a cluster of two nodes, and stop it afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as name,
        start_network(["north", "south"]) as network,
    ):
        cluster = RayCluster(network, Path(name))
        for node in ("north", "south"):
            cluster.start_node(node)
        yield cluster
