"""``runs``: what the store of runs holds, and an end for the runs whose process has died."""

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence

from dcase_sweep.utils.errors import UserError

KEYS = ("tracking.uri", "tracking.folder")
_EPILOG = """\
KEY=VALUE: tracking.uri=..., tracking.folder=...: where the store is, if not in mlruns

A run is dead if it is marked as running and its process has ended. A process on
another machine cannot be seen: its run counts as dead after an hour without a
sign of life. Every command that opens a local store closes what is dead there.

examples:
  python -m dcase_sweep runs
  python -m dcase_sweep runs --close-dead tracking.uri=http://127.0.0.1:5000"""


def main(arguments: list[str]) -> int:
    """List the newest runs, or close dead ones; 0 on success.

    Raises:
        UserError: for a key that is not known, or a store that is not there.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dcase_sweep runs",
        usage="python -m dcase_sweep runs [--close-dead] [--limit N] [KEY=VALUE ...]",
        description="List the newest runs: when they began, their status, process, name and id.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--close-dead", action="store_true", help="mark dead runs as killed, and list nothing")
    parser.add_argument("--limit", metavar="N", default="20", help="how many are listed (default: 20)")
    options = parser.parse_intermixed_args(arguments)
    settings = _settings(options.settings)
    if not options.limit.isdecimal() or int(options.limit) < 1:
        raise UserError(f"--limit {options.limit}: expected a whole number of at least 1")

    from dcase_sweep import tracking
    from dcase_sweep.config import Tracking

    where = Tracking(**settings)  # type: ignore[arg-type]
    if not tracking.is_there(where):
        raise UserError(
            f"{tracking.resolve_uri(where)}: no store of runs there; expected tracking.folder=FOLDER or "
            "tracking.uri=ADDRESS of one"
        )
    _log_to_terminal()
    store = tracking.open_store(where, experiment=False)
    if options.close_dead:
        if not tracking.close_dead_runs(store):  # those of a local store were closed when it was opened
            left = len(tracking.open_runs(store))
            print(f"no dead run is left open; {left} running")
        return 0
    runs = tracking.list_runs(store, int(options.limit))
    print(tracking.runs_table(runs, shutil.get_terminal_size().columns) if runs else f"{store.uri}: no runs yet")
    return 0


def _settings(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in KEYS or not value:
            raise UserError(f"{word}: expected {' or '.join(f'{key}=VALUE' for key in KEYS)}")
        found[key.removeprefix("tracking.")] = value
    return found


def _log_to_terminal() -> None:
    """What the store has to say goes to standard output, as in an experiment."""
    from dcase_sweep.utils.console import MaskingFormatter, Terminal

    logger = logging.getLogger("dcase_sweep")
    if not logger.handlers:
        handler = Terminal(sys.stdout)
        handler.setFormatter(MaskingFormatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
