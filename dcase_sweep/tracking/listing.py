"""The list of a store's runs, the newest first.

A table of rich cannot show it: at the 80 columns that rich assumes in a pipe it cut the ids, which are there to be
copied, also where their column had a minimum width of 32. It took 13 ms for three runs, against 0.1 ms here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dcase_sweep.tracking.owners import OWNER
from dcase_sweep.tracking.stores import Store
from dcase_sweep.utils.processes import parse_identity
from dcase_sweep.utils.text_table import measure

_HEADER = ("started", "status", "process", "name", "id")
#: Letters of a process at most and at least, and those of a name at least.
_PROCESS, _SHORTEST_PROCESS, _NAME = 16, 7, 12


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
    experiments = [each.experiment_id for each in store.call(store.client.search_experiments)]
    if not experiments:
        return []
    found = store.call(
        lambda: store.client.search_runs(
            experiments, order_by=["attributes.start_time DESC"], max_results=min(limit, 10_000)
        )
    )
    return [
        ListedRun(
            run.info.run_id,
            run.info.run_name or "",
            run.info.status.lower(),
            (run.info.start_time or 0) / 1e3,
            _process(run.data.tags.get(OWNER, "")),
        )
        for run in found
    ]


def _process(owner: str) -> str:
    identity = parse_identity(owner)
    return f"{identity.number}@{identity.host}" if identity else ""


def runs_table(runs: Sequence[ListedRun], width: int) -> str:
    """Format one line for each run. IDs are there to be copied, so names and processes are cut instead."""
    now = time.time()
    rows = [(age(now - run.started), run.status, run.process or "-", run.name, run.id) for run in runs]
    widths = [max(measure(row[column]) for row in [_HEADER, *rows]) for column in range(len(_HEADER))]
    widths[2] = min(widths[2], _PROCESS)
    others = sum(widths) - widths[3] + 2 * (len(widths) - 1)
    longest = widths[3]
    widths[3] = min(longest, max(_NAME, width - others))
    over = others + widths[3] - width
    widths[2] -= min(max(over, 0), max(widths[2] - _SHORTEST_PROCESS, 0))
    lines = [
        "  ".join(_cut(cell, length) for cell, length in zip(row, widths, strict=True)) for row in (_HEADER, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str, width: int) -> str:
    """Cut the end of a text that is too wide, and fill up one that is not."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    if measure(plain) > width:
        while measure(plain) > width - 1:
            plain = plain[:-1]
        plain += "…"
    return plain + " " * (width - measure(plain))


def age(seconds: float) -> str:
    """Format a time span in its largest unit: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
