"""``runs``: list the runs of a store, and close runs whose process has ended."""

import argparse
from collections.abc import Sequence

from dcase_sweep.cli.parser import HelpFormatter
from dcase_sweep.cli.stores import KEYS, log_to_terminal, open_existing_store
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text_table import terminal_width

_EPILOG = """\
KEY=VALUE: tracking.uri=... or tracking.folder=...: the store, if not in mlruns

A run is dead if it is marked as running and its process has ended. A process on
another machine is not visible: its run counts as dead after an hour without a
heartbeat. Every command that opens a local store closes its dead runs.

examples:
  python -m dcase_sweep runs
  python -m dcase_sweep runs --close-dead tracking.uri=http://127.0.0.1:5000"""


def main(arguments: list[str]) -> int:
    """List the newest runs, or close dead ones; return 0.

    Raises:
        UserError: for an unknown key, or a missing store.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dcase_sweep runs",
        usage="python -m dcase_sweep runs [--close-dead] [--limit N] [KEY=VALUE ...]",
        description="List the newest runs: start time, status, process, name and ID.",
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("settings", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--close-dead", action="store_true", help="mark dead runs as killed instead of listing runs")
    parser.add_argument("--limit", metavar="N", default="20", help="number of runs to list (default: 20)")
    options = parser.parse_intermixed_args(arguments)
    settings = _settings(options.settings)
    if not options.limit.isdecimal() or int(options.limit) < 1:
        raise UserError(f"--limit {options.limit}: expected a whole number of at least 1")

    from dcase_sweep import tracking

    log_to_terminal()
    store = open_existing_store(settings)
    if options.close_dead:
        if not tracking.close_dead_runs(store):  # a local store closes them when it is opened
            left = len(tracking.open_runs(store))
            print(f"no dead runs; {left} running")
        return 0
    runs = tracking.list_runs(store, int(options.limit))
    print(tracking.runs_table(runs, terminal_width()) if runs else f"{store.uri}: no runs yet")
    return 0


def _settings(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in KEYS or not value:
            raise UserError(f"{word}: expected {' or '.join(f'{key}=VALUE' for key in KEYS)}")
        found[key.removeprefix("tracking.")] = value
    return found
