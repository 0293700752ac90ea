"""Full disks, read-only mounts and moved projects. Mounts need root; without it their part says so and fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.inputs import empty_database
from tests.conftest import TINY, CommandLine, copy_database
from tests.layout import make_tau
from tests.warm import WarmServer

#: A disk of so many KiB is full somewhere in the middle of a command; the last one has room.
SIZES = (16, 128, 512, 768, 1024, 1536, 2048, 3072, 4096, 65536)
#: Folders of a project that may lie on a disk of their own.
FOLDERS = ("cache", "mlruns", "outputs", ".")


@dataclass(frozen=True, slots=True)
class Check:
    """One situation and what was wrong with what came of it; None if nothing was."""

    name: str
    fault: str | None


@contextmanager
def mounted(folder: Path, kib: int) -> Iterator[None]:
    """A file system of its own in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    """Change a mounted file system: its size, or whether it can be written."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def run_disks(only: str = "", output: Path | None = None) -> int:
    """Every check whose name holds the text; prints the faults and the count; 1 if there is any."""
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
        base = Path(name)
        (base / "empty").mkdir()
        database = empty_database(base / "empty")
        tau = make_tau(base / "tau")
        server = WarmServer(CommandLine(base).environment())
        try:
            lab = Lab(base, database, tau, server)
            checks = [_run(name, check) for name, check in lab.checks() if only in name]
        finally:
            server.close()
    faults = [check for check in checks if check.fault]
    print(f"{len(checks) - len(faults)} of {len(checks)} disks, mounts and moves ended as they must")
    if output is not None:
        output.write_text(json.dumps([{"name": each.name, "fault": each.fault} for each in checks], indent=1) + "\n")
    return 1 if faults or not checks else 0


def _run(name: str, check: Callable[[], str | None]) -> Check:
    try:
        fault = check()
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        print(f"FAULT {name}: {fault}", flush=True)
    return Check(name, fault)


class Lab:
    """Projects in which commands are tried.

    Args:
        base: the folder of all of them.
        database: an empty store of runs.
        tau: a small data set.
        server: what commands are forked from.
    """

    def __init__(self, base: Path, database: Path, tau: Path, server: WarmServer) -> None:
        self.base = base
        self.database = database
        self.tau = tau
        self.server = server
        self._projects = 0

    def checks(self) -> Iterator[tuple[str, Callable[[], str | None]]]:
        """All checks by their names."""
        for folder in FOLDERS:
            for kib in SIZES:
                yield f"full/{folder}-{kib}-kib", lambda folder=folder, kib=kib: self.full(folder, kib)  # type: ignore[misc]
        for kib in SIZES[:-1]:
            yield f"full/demo-{kib}-kib", lambda kib=kib: self.full("cache", kib, demo=True)  # type: ignore[misc]
        for folder, code in (("mlruns", 1), ("outputs", 1), (".", 1), ("cache", 1)):
            yield f"read-only/{folder}", lambda folder=folder, code=code: self.read_only(folder, code)  # type: ignore[misc]
        yield "read-only/complete-cache", lambda: self.read_only("cache", 0, complete=True)
        yield "moved/project", lambda: self.moved(copied=False)
        yield "moved/copied-project", lambda: self.moved(copied=True)

    def project(self, *, with_store: bool = True) -> CommandLine:
        """A new project."""
        self._projects += 1
        folder = self.base / f"project-{self._projects}"
        folder.mkdir()
        if with_store:
            copy_database(self.database, folder / "mlruns")
        return CommandLine(folder, self.server)

    def words(self, *more: str) -> list[str]:
        """Overrides of a small experiment."""
        return ["data=tau2020", f"data.root={self.tau}", *TINY, *more]

    def full(self, folder: str, kib: int, *, demo: bool = False) -> str | None:
        """A disk that is full in the middle, then has room: one line that names it, then everything as ever."""
        line = self.project(with_store=False)
        words = [*TINY, "data.train_clips=40", "data.test_clips=40"] if demo else self.words()
        place = line.folder / folder
        with mounted(place, kib):
            process = line.start(*words)
            output, _ = process.communicate(timeout=300)
            if process.returncode != 0:
                fault = _one_line(output, str(place.resolve()), place.name) or _one_code(process.returncode)
                if fault:
                    return f"{fault}\n{output[-2000:]}"
                remount(place, "size=200m")
                process = line.start(*words)
                output, _ = process.communicate(timeout=300)
            return None if process.returncode == 0 else f"with room again: {output[-2000:]}"

    def read_only(self, folder: str, code: int, *, complete: bool = False) -> str | None:
        """A folder that cannot be written: one line, or no matter where nothing needs to be written."""
        line = self.project()
        place = line.folder / folder
        keep = line.folder.with_suffix(".kept")
        if place.is_dir():
            shutil.copytree(place, keep)
        with mounted(place, 262144):
            if keep.is_dir():
                shutil.copytree(keep, place, dirs_exist_ok=True)
            if complete:
                line(*self.words())
            remount(place, "ro")
            process = line.start(*self.words())
            output, _ = process.communicate(timeout=300)
        if process.returncode != code:
            return f"exit code {process.returncode}, expected {code}\n{output[-2000:]}"
        names = FOLDERS[:-1] if folder == "." else (place.name,)
        fault = _one_line(output, str(place.resolve()), *names) if code else None
        return f"{fault}\n{output[-2000:]}" if fault else None

    def moved(self, *, copied: bool) -> str | None:
        """A project at another place: it goes on there, and nothing is written where it was."""
        line = self.project()
        long = "training.epochs=60"
        search = ["hydra/sweeper=optuna", "model.units=tag(int,interval(8,32))", "hydra.sweeper.study_name=s"]
        finished = re.search(r"^run .* · (\w{32}) · ", line(*self.words()), re.MULTILINE)
        line("-m", *self.words(*search, "hydra.sweeper.n_trials=1"))
        process = line.start(*self.words(long))
        _wait_for_epoch(line.folder, process.pid)
        process.communicate(timeout=60)
        there = CommandLine(line.folder.with_suffix(".moved"), self.server)
        if copied:
            shutil.copytree(line.folder, there.folder)
        else:
            line.folder.rename(there.folder)
        before = _listing(line.folder)
        assert finished
        last = max(there.folder.glob("outputs/*/*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        commands: Sequence[Sequence[str]] = (
            self.words("seed=1"),
            self.words(long, f"resume={last.parent.parent.relative_to(there.folder)}"),
            ("export", "onnx", f"run={finished[1]}", f"data.root={self.tau}"),
            ("-m", *self.words(*search, "hydra.sweeper.n_trials=2")),
            ("-m", *self.words("seed=2,3")),
        )
        for command in commands:
            process = there.start(*command)
            output, _ = process.communicate(timeout=300)
            if process.returncode != 0 and not re.search(r"^error: .*artifacts", output, re.MULTILINE):
                return f"{' '.join(command)}: exit code {process.returncode}\n{output[-2000:]}"
        after = _listing(line.folder)
        return None if after == before else f"written at the old place: {sorted(after ^ before)[:5]}"


def _one_code(code: int) -> str | None:
    return None if code == 1 else f"exit code {code}, expected 1"


def _one_line(output: str, *names: str) -> str | None:
    """What is wrong with what was printed, which must be one line of error that names one of these."""
    errors = [line for line in output.splitlines() if line.startswith("error:")]
    if "Traceback (most recent call last)" in output:
        return "a traceback"
    if len(errors) != 1:
        return f"{len(errors)} lines begin with 'error:', expected one"
    if not any(name in errors[0] for name in names):
        return f"the line names none of {', '.join(names)}"
    return None


def _listing(folder: Path) -> set[tuple[str, int]]:
    if not folder.exists():
        return set()
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def _wait_for_epoch(folder: Path, pid: int) -> None:
    """Interrupt the process once it has come to an epoch."""
    known = set(folder.glob("outputs/*/*/checkpoints/last.ckpt"))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if set(folder.glob("outputs/*/*/checkpoints/last.ckpt")) - known:
            os.kill(pid, signal.SIGTERM)
            return
        time.sleep(0.02)
    raise AssertionError("no epoch within two minutes")
