"""A MariaDB server of a test, on a free port of this machine."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.folders import server_folder
from tests.engines.postgresql import PASSWORD
from tests.integration.test_passwords import free_port


def find_binaries() -> Path | None:
    """The folder of MariaDB's server; None where it is not installed."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found).parent if found and shutil.which("mariadb-install-db") else None


@dataclass(slots=True)
class MariaDB:
    """A server that can be stopped, started and killed in part."""

    binaries: Path
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        """Of a database of Optuna's, with a password that has to be quoted with care."""
        return f"mysql+pymysql://optuna:{PASSWORD}@127.0.0.1:{self.port}/optuna"

    @property
    def user(self) -> list[str]:
        """Options that name the user whom the server runs as, as whom it refuses root."""
        return ["--user=mysql"] if os.getuid() == 0 else []

    @property
    def socket(self) -> Path:
        """Where its administrator connects."""
        return self.folder / "socket"

    def create(self) -> None:
        """Create the files of the server, a database, and a user with a password."""
        if os.getuid() == 0:
            shutil.chown(self.folder, "mysql")
        options = [f"--datadir={self.folder / 'data'}", "--skip-test-db", "--auth-root-authentication-method=normal"]
        command = ["mariadb-install-db", "--no-defaults", *self.user, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        self.start()
        self.ask("CREATE DATABASE optuna CHARACTER SET utf8mb4")
        self.ask(f"CREATE USER optuna@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        self.ask("GRANT ALL ON optuna.* TO optuna@'127.0.0.1'")

    def start(self, **settings: object) -> None:
        """Start the server and wait until it accepts connections."""
        given = [f"--{name}={value}" for name, value in settings.items()]
        options = [f"--datadir={self.folder / 'data'}", f"--port={self.port}", f"--socket={self.socket}"]
        options += ["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=16M"]
        options += ["--skip-name-resolve", f"--pid-file={self.folder / 'pid'}"]
        with (self.folder / "log").open("a") as output:
            self.process = subprocess.Popen(
                [str(self.binaries / "mariadbd"), "--no-defaults", *self.user, *options, *given],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        deadline = time.monotonic() + 60
        while self.ask("SELECT 1", check=False) is None:
            is_over = time.monotonic() > deadline or self.process.poll() is not None
            assert not is_over, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once, as its crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, statement: str, *, check: bool = True) -> list[tuple[object, ...]] | None:
        """Run a statement as the administrator; None if that fails and need not succeed."""
        import pymysql

        try:
            with pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True) as connection:
                cursor = connection.cursor()
                cursor.execute(statement)
                return list(cursor.fetchall())
        except pymysql.Error:
            if check:
                raise
            return None

    def kill_backends(self) -> int:
        """End all connections of the user. Returns how many there were."""
        found = self.ask("SELECT id FROM information_schema.processlist WHERE user = 'optuna'") or []
        for (number,) in found:
            self.ask(f"KILL CONNECTION {number}", check=False)
        return len(found)


@contextmanager
def start_mariadb() -> Iterator[MariaDB]:
    """Start a server in a temporary folder. It is stopped afterwards."""
    binaries = find_binaries()
    assert binaries is not None
    with server_folder("mariadb") as folder:
        server = MariaDB(binaries, folder, free_port())
        try:
            server.create()
            yield server
        finally:
            server.stop()
