"""The list of a store's runs, the newest first."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dcase_sweep.tracking.owners import OWNER
from dcase_sweep.tracking.searching import list_experiments, search_runs
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.processes import parse_identity
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import format_table

_HEADER = ("started", "status", "process", "name", "id")
#: Letters of a name at most.
_LONGEST = 250


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A row of the list.

    Attributes:
        id: id in MLflow.
        name: name of the run.
        status: ``finished``, ``failed``, ``killed`` or ``running``.
        started: start time in seconds since 1970.
        process: id and host of the last process of the run; empty if not known.
    """

    id: str
    name: str
    status: str
    started: float
    process: str


def list_runs(store: Store, limit: int) -> list[ListedRun]:
    """List the newest runs of all experiments of a store."""
    return [
        ListedRun(
            run.info.run_id,
            run.info.run_name or "",
            run.info.status.lower(),
            (run.info.start_time or 0) / 1e3,
            _process(run.data.tags.get(OWNER, "")),
        )
        for run in search_runs(store, list_experiments(store), limit=limit)
    ]


def _process(owner: str) -> str:
    identity = parse_identity(owner)
    return f"{identity.number}@{identity.host}" if identity else ""


def runs_table(runs: Sequence[ListedRun], width: int | None) -> str:
    """Format one line for each run. IDs are there to be copied, so only names and processes are shortened.

    Args:
        runs: the runs.
        width: width of the terminal in characters; None = any.
    """
    now = time.time()
    rows = [
        (age(now - run.started), run.status, run.process or "-", printable(run.name, _LONGEST), run.id) for run in runs
    ]
    return format_table([_HEADER, *rows], left=range(len(_HEADER)), whole=(0, 1, 4), width=width)


def age(seconds: float) -> str:
    """Format a time span in its largest unit: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
