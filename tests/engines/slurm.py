"""A Slurm cluster of a test: a controller and two hosts on a network of namespaces, in a temporary folder."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.folders import server_folder
from tests.engines.hosts import Host, end_with_parent
from tests.engines.network import ADDRESS, Network, can_make_networks, start_network

_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "munged", "ip", "nsenter")
#: Programs of the system's administrator are not on every user's path.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
#: submitit asks the accounting what has become of a job. It is kept in no database here; the controller answers.
_SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
exec squeue --all --states=all --array --noheader --format='%i|%T|%N'
"""
_SETTINGS = """
ClusterName=test
SlurmctldHost={machine}({address})
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
SlurmctldTimeout=10
SlurmdTimeout={timeout}
KillWait=10
ReturnToService=2
JobRequeue=1
MinJobAge=600
{nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=60 LLN=YES State=UP
"""


def find_reason() -> str | None:
    """Why there can be no cluster here; None if there can."""
    missing = [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)} not found): apt-get install slurm-wlm munge iproute2"
    if os.getuid() != 0 or not can_make_networks():
        return "Slurm needs the right to create networks of namespaces, which root has"
    return None


@dataclass(slots=True)
class Slurm:
    """A running cluster.

    Attributes:
        folder: its settings, logs and state.
        network: its hosts.
        timeout: seconds without an answer after which the controller counts a host as down.
    """

    folder: Path
    network: Network
    timeout: int = 10
    _servers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def hosts(self) -> dict[str, Host]:
        """The hosts by name."""
        return self.network.hosts

    @property
    def environment(self) -> dict[str, str]:
        """Variables of commands that talk to the cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), _PATH])
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def create(self) -> None:
        """Write the settings, a key, and the folders."""
        for name in ("bin", "state", *(f"spool-{each}" for each in self.hosts)):
            (self.folder / name).mkdir()
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (self.folder / "munge.key").chmod(0o600)
        sacct = self.folder / "bin" / "sacct"
        sacct.write_text(_SACCT)
        sacct.chmod(0o755)
        nodes = "\n".join(
            f"NodeName={name} NodeAddr={address} CPUs=4 RealMemory=500 State=UNKNOWN"
            for name, address in self.network.addresses.items()
        )
        machine = socket.gethostname().partition(".")[0]
        written = _SETTINGS.format(
            machine=machine,
            address=ADDRESS,
            ports=(6817, 6818),
            folder=self.folder,
            nodes=nodes,
            timeout=self.timeout,
        )
        (self.folder / "slurm.conf").write_text(written)

    def start(self) -> None:
        """Start munge, the controller, and a daemon on each host; wait until the hosts are idle."""
        files = ["--key-file", "--socket", "--pid-file", "--log-file", "--seed-file"]
        names = ["munge.key", "munge.socket", "munge.pid", "munge.log", "munge.seed"]
        paths = [word for option, name in zip(files, names, strict=True) for word in (option, str(self.folder / name))]
        self._serve("munged", "--foreground", "--force", *paths)
        wait_until((self.folder / "munge.socket").exists, "munged listens", self.describe)
        self._serve("slurmctld", "-D")
        for name in self.hosts:
            self.start_daemon(name)
        self.wait_until_idle()

    def start_daemon(self, host: str) -> None:
        """Start Slurm's daemon on a host."""
        self._serve(*self.hosts[host].command("slurmd", "-D", "-N", host), name=f"slurmd-{host}")

    def kill_daemon(self, host: str) -> None:
        """Kill Slurm's daemon on a host; its jobs go on."""
        number = (self.folder / f"slurmd-{host}.pid").read_text().strip()
        subprocess.run(self.hosts[host].command("kill", "-KILL", number), check=True, timeout=20)

    def restart_host(self, name: str) -> None:
        """Kill all processes of a host at once and start it again, with its daemon."""
        self.network.restart(name)
        self.start_daemon(name)

    def wait_until_idle(self) -> None:
        """Wait until all hosts have no job."""
        idle = dict.fromkeys(self.hosts, "idle")
        wait_until(lambda: self.states() == idle, "all hosts are idle", lambda: f"{self.states()}\n{self.describe()}")

    def states(self) -> dict[str, str]:
        """The state of each host: idle, mixed, down* and so on."""
        lines = self.run("sinfo", "--Node", "--noheader", "--format=%N %T", check=False).splitlines()
        return {name: state for name, _, state in (line.partition(" ") for line in lines) if state}

    def run(self, *words: str, check: bool = True, folder: Path | None = None) -> str:
        """Run a command of Slurm and return what it prints."""
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            cwd=folder,
            env=dict(os.environ) | self.environment,
        )
        assert done.returncode == 0 or not check, f"{' '.join(words)}: {done.stdout}\n{self.describe()}"
        return done.stdout

    def submit(self, *words: str, folder: Path, script: str, environment: Mapping[str, str] | None = None) -> str:
        """Submit a script with ``sbatch`` and these options; returns the ID of the job."""
        path = folder / "job.sh"
        exported = [f"export {name}='{value}'" for name, value in (environment or {}).items()]
        path.write_text("\n".join(["#!/bin/sh", *exported, script, ""]))
        return self.run("sbatch", "--parsable", *words, str(path), folder=folder).strip().partition(";")[0]

    def jobs(self) -> dict[str, str]:
        """The state of each job and each task of an array, also of those that have ended."""
        lines = self.run("squeue", "--states=all", "--array", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def host_of(self, job: str) -> str:
        """The host of a running job."""
        return self.run("squeue", "--noheader", "--array", "--format=%N", f"--jobs={job}").strip()

    def describe(self) -> str:
        """The last lines of the logs, for a test that fails."""
        found = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            found += [f"== {path.name}", *lines]
        return "\n".join(found)

    def _serve(self, *words: str, name: str = "") -> None:
        with (self.folder / f"{name or words[0]}-output.log").open("ab") as log:
            self._servers.append(
                subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(os.environ) | self.environment,
                    start_new_session=True,
                    preexec_fn=end_with_parent,
                )
            )

    def stop(self) -> None:
        """Cancel all jobs and end the servers."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("scancel", "--partition=test", check=False)
        for host in self.hosts.values():
            host.kill()
        for server in reversed(self._servers):
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@contextmanager
def start_slurm() -> Iterator[Slurm]:
    """Start a cluster of the hosts north and south, and stop it afterwards. Commands of this thread can talk to it."""
    with server_folder("slurm") as folder, start_network(["north", "south"]) as network:
        cluster = Slurm(folder, network)
        try:
            cluster.create()
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def wait_until(
    condition: Callable[[], bool], what: str, describe: Callable[[], str] = str, patience: float = 60.0
) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: if it is not in time.
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain until {what}\n{describe()}"
        time.sleep(0.1)


#: The interpreter of jobs, which is that of the test.
PYTHON = sys.executable
