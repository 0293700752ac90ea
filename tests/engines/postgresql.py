"""A PostgreSQL server of a test, on a free port of this machine."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.engines.folders import server_folder
from tests.integration.test_passwords import free_port

PASSWORD = "hunter2@home/x"


def find_binaries() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@dataclass(slots=True)
class PostgreSQL:
    """A server that can be stopped, started and killed in part."""

    binaries: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Of a database of Optuna's, with a password that has to be quoted with care."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *words: str, check: bool = True) -> str:
        """Run one of the programs, as a user other than root, which they refuse."""
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*as_user, str(self.binaries / program), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            cwd="/",
        )
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout

    def create(self) -> None:
        """Create the files of the server."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            shutil.chown(password, "postgres")
        options = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        self.run("initdb", "-D", str(self.data), *options)
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"port = {self.port}\nunix_socket_directories = '{self.folder}'\nfsync = off\n")
            settings.write("listen_addresses = '127.0.0.1'\nshared_buffers = 16MB\n")

    @property
    def data(self) -> Path:
        """The folder of the server's files."""
        return self.folder / "data"

    def start(self, **settings: object) -> None:
        """Start the server and wait until it accepts connections."""
        given = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "-o", given, "start")

    def stop(self) -> None:
        """Stop the server at once, as its crash would."""
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop", check=False)

    def kill_backends(self) -> int:
        """Kill the processes of all connections; the server then restarts by itself. Returns how many there were."""
        import psutil

        main = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        found = [child for child in psutil.Process(main).children() if "127.0.0.1" in " ".join(child.cmdline())]
        for child in found:
            with suppress(psutil.NoSuchProcess):  # the server ends the others itself
                child.send_signal(signal.SIGKILL)
        return len(found)


@contextmanager
def start_postgresql() -> Iterator[PostgreSQL]:
    """Start a server in a temporary folder. It is stopped afterwards."""
    binaries = find_binaries()
    assert binaries is not None
    with server_folder("postgresql") as folder:
        server = PostgreSQL(binaries, folder, free_port())
        try:
            server.create()
            server.start()
            yield server
        finally:
            server.stop()
