"""A bad input, what must come of it, and how it is run."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tests.campaign import corpus

#: A bad input must be answered within this many seconds.
LIMIT = 10.0
#: What a command may take of the address space, so that a fault cannot take the machine.
_ADDRESS_SPACE = 20 * 2**30
#: Files are made by one case at a time: libraries that compose and build networks expect one thread.
_PREPARING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Case:
    """One bad input.

    Attributes:
        name: unique within its module; words with hyphens.
        arguments: what follows ``python -m dcase_sweep``; ``{folder}`` stands for the folder of the case, which is the
            working directory too.
        expected: a regular expression that one printed line must match: the file, row or key; what was found; what is
            expected.
        code: the exit code: 1 where the input is refused, 0 where it is noted and the command goes on.
        prepare: makes the files that the command reads, given the folder.
        environment: variables on top.
        limit: seconds; more than the default only where a valid part of the work takes longer, a training for instance.
    """

    name: str
    arguments: Sequence[str]
    expected: str
    code: int = 1
    prepare: Callable[[Path], object] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    limit: float = LIMIT


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case; ``fault`` is None if it was as it must be."""

    area: str
    name: str
    seconds: float
    fault: str | None
    output: str


def load_cases() -> dict[str, list[Case]]:
    """The cases of each area."""
    areas = sorted(module.name for module in iter_modules(corpus.__path__))
    found = {area: list(import_module(f"{corpus.__name__}.{area}").CASES) for area in areas}
    for area, cases in found.items():
        names = [case.name for case in cases]
        assert len(set(names)) == len(names), f"{area}: two cases of one name"
    return found


def run_case(area: str, case: Case, database: Path | None = None) -> CaseResult:
    """Run a case in a new folder, as people would: a new process, nothing imported.

    Args:
        area: of the case.
        case: the case.
        database: an empty store of runs to begin with, since making one takes seconds.
    """
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if database is not None:
            (folder / "mlruns").mkdir()
            (folder / "mlruns" / "mlflow.db").write_bytes(database.read_bytes())
        if case.prepare is not None:
            with _PREPARING:
                case.prepare(folder)
        words = [word.replace("{folder}", str(folder)) for word in case.arguments]
        code, output, seconds = _run(words, folder, dict(case.environment), case.limit)
    return CaseResult(area, case.name, seconds, _fault(case, code, output, seconds), output)


def _run(words: Sequence[str], folder: Path, variables: dict[str, str], limit: float) -> tuple[int, str, float]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HYDRA_"))}
    root = str(Path(__file__).resolve().parents[2])
    environment = kept | {"DCASE_SWEEP_CACHE": str(folder / "cache"), "PYTHONPATH": root, "COLUMNS": "80"} | variables
    output = folder / ".output"
    began = time.perf_counter()
    with output.open("wb") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "dcase_sweep", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE)),
        )
        try:
            code = process.wait(timeout=3 * limit)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        with suppress(ProcessLookupError):  # what it started ends with it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    seconds = time.perf_counter() - began
    return code, output.read_text(errors="replace"), seconds


def _fault(case: Case, code: int, output: str, seconds: float) -> str | None:
    lines = output.splitlines()
    if "Traceback (most recent call last)" in output:
        return "a traceback"
    if code != case.code:
        return f"exit code {code}, expected {case.code}"
    if not any(re.search(case.expected, line) for line in lines):
        return f"no line matches {case.expected!r}"
    errors = [line for line in lines if line.startswith("error:")]
    if case.code and len(errors) != 1:
        return f"{len(errors)} lines begin with 'error:', expected one"
    if seconds > case.limit:
        return f"took {seconds:.1f} s, expected at most {case.limit:g}"
    return None


def as_json(results: Sequence[CaseResult]) -> str:
    """The results, for a file."""
    rows = [
        {"area": each.area, "name": each.name, "seconds": round(each.seconds, 2), "fault": each.fault}
        for each in results
    ]
    return json.dumps(rows, indent=1) + "\n"
