"""``status``: how far searches are, on which hosts, how fast, and for how long yet."""

import argparse
import json
import math
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dcase_sweep.cli.parser import OneLineParser
from dcase_sweep.utils.durations import format_duration
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.overview import Overview

_EPILOG = """\
storage=...: a journal, sqlite:///FILE, postgresql://... or mysql://...; without it
the environment variable OPTUNA_STORAGE, else the journal in tracking.folder=...
(mlruns). Nothing is written there.

A trial is lost if the process that runs it has ended, or sends no sign of life from
another machine; the next worker tries it again. Trials an hour are counted while a
host works; the remaining time is at the speed of the hosts that work now.

examples:
  python -m dcase_sweep status
  python -m dcase_sweep status STUDY storage=postgresql://user@host/studies
  python -m dcase_sweep status STUDY --json"""
#: Kinds of trials in the order in which they are shown.
_KINDS = ("finished", "pruned", "failed", "interrupted", "running", "lost", "waiting", "rejected", "repeated")


def main(arguments: list[str]) -> int:
    """Show one search, or list all of a storage; return 0.

    Raises:
        UserError: for an unknown key, a missing storage or study.
    """
    parser = OneLineParser(
        prog="python -m dcase_sweep status",
        usage="python -m dcase_sweep status [STUDY] [storage=STORAGE] [--json]",
        description="Show the state of a search, or of all searches of a storage.",
        epilog=_EPILOG,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    options = parser.parse_intermixed_args(arguments)
    names, settings = split_words(options.words, ("storage", "tracking.folder"))
    if len(names) > 1:
        raise UserError(f"{names[1]}: expected one study at most, and storage=STORAGE")
    from dcase_sweep.sweep.optuna.overview import summarize
    from dcase_sweep.sweep.optuna.stored import choose_storage, find_study, read_studies
    from dcase_sweep.utils.secrets import mask_url

    where = choose_storage(settings.get("storage"), settings.get("tracking.folder"))
    studies = [find_study(where, names[0])] if names else read_studies(where)
    found = [summarize(study) for study in studies]
    if options.json:
        shown = {"storage": mask_url(where), "studies": [_to_plain(each) for each in found]}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    elif names:
        print("\n".join(_describe(found[0], mask_url(where))))
    else:
        print(_list(found) if found else f"{mask_url(where)}: no studies yet")
    return 0


def split_words(words: Sequence[str], keys: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separate names from the values of some keys. A name may contain an equals sign."""
    names, settings = [], {}
    for word in words:
        key, _, value = word.partition("=")
        if key in keys:
            if not value.strip():
                raise UserError(f"{word}: no value; expected {key}=VALUE")
            settings[key] = value.strip("'\"")
        else:
            names.append(word)
    return names, settings


def _describe(overview: "Overview", where: str) -> list[str]:
    """The lines of one search."""
    from dcase_sweep.sweep.outcomes import format_value
    from dcase_sweep.utils.console import pluralize
    from dcase_sweep.utils.text import printable
    from dcase_sweep.utils.text_table import format_table, terminal_width

    wanted = f" of {overview.wanted:,}" if overview.wanted is not None else ""
    left = f"; about {format_duration(overview.remaining)} left" if overview.remaining else ""
    reason = f": {printable(overview.reason)}" if overview.reason else ""
    kinds = [f"{overview.counts[kind]:,} {kind}" for kind in _KINDS if overview.counts[kind]]
    lines = [
        f"study     {printable(overview.study)}",
        f"storage   {where}",
        f"state     {overview.state}{reason}; {overview.done:,}{wanted} trials{left}",
        f"trials    {', '.join(kinds) or 'none'}",
        *(
            f"best      {printable(each.metric)} {format_value(each.value, each.spread)}, trial {each.trial}"
            for each in overview.best
        ),
    ]
    if overview.trials_per_hour is not None:
        lines.append(f"speed     {_format_rate(overview.trials_per_hour)} trials an hour")
    if overview.state == "idle":
        again = "the command that began it continues it"
        lines.append(f"continue  {again}, or python -m dcase_sweep join {shlex.quote(overview.study)}")
    if overview.hosts:
        titles = ["host", "running", "finished", "pruned", "failed", "interrupted", "lost", "trials/h", "last"]
        rows = [
            [
                printable(host.host, 40),
                *(f"{host.counts[kind]:,}" for kind in titles[1:7]),
                _format_rate(host.trials_per_hour),
                _format_age(host.last),
            ]
            for host in overview.hosts
        ]
        lines += ["", format_table([titles, *rows], width=terminal_width())]
    if len(overview.hosts) > 1:
        lines.append(f"{pluralize(len(overview.hosts), 'host')}, {overview.counts['running']:,} trials running")
    return lines


def _list(overviews: "Sequence[Overview]") -> str:
    """A table with one row for each search."""
    from dcase_sweep.sweep.outcomes import format_value
    from dcase_sweep.utils.text import printable
    from dcase_sweep.utils.text_table import format_table, terminal_width

    titles = ["study", "state", "done", "wanted", "running", "failed", "best", "trials/h", "left"]
    rows = [
        [
            printable(each.study, 60),
            each.state,
            f"{each.done:,}",
            "-" if each.wanted is None else f"{each.wanted:,}",
            f"{each.counts['running']:,}",
            f"{each.counts['failed']:,}",
            " / ".join(format_value(best.value, best.spread) for best in each.best) or "-",
            _format_rate(each.trials_per_hour),
            format_duration(each.remaining) if each.remaining else "-",
        ]
        for each in overviews
    ]
    return format_table([titles, *rows], left=2, width=terminal_width())


def _format_rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"


def _format_age(moment: float | None) -> str:
    if moment is None:
        return "-"
    age = max(0.0, time.time() - moment)
    return "now" if age < 2 else f"{format_duration(age)} ago"


def _to_plain(overview: "Overview") -> dict[str, Any]:
    """A search as values that JSON supports."""
    return {
        "study": overview.study,
        "state": overview.state,
        "reason": overview.reason or None,
        "wanted": overview.wanted,
        "done": overview.done,
        "trials": dict(overview.counts),
        "best": [
            {
                "metric": each.metric,
                "value": _finite(each.value),
                "trial": each.trial,
                **({} if each.spread is None else {"spread": each.spread}),
            }
            for each in overview.best
        ],
        "trials_per_hour": overview.trials_per_hour,
        "remaining_seconds": overview.remaining,
        "hosts": [
            {
                "host": host.host,
                "trials": dict(host.counts),
                "trials_per_hour": host.trials_per_hour,
                "last": host.last,
            }
            for host in overview.hosts
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
