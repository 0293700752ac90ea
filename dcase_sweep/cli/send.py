"""``send``: send to a server what runs could not send while it was away."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dcase_sweep.cli.parser import OneLineParser
from dcase_sweep.cli.stores import KEYS, log_to_terminal, open_existing_store
from dcase_sweep.utils.errors import UserError

#: The folders that runs and sweeps are written to unless the command line names others.
_FOLDERS = ("outputs", "multirun")
_EPILOG = """\
FOLDER: of a run, a sweep, or several (default: outputs and multirun)
KEY=VALUE: tracking.uri=..., if MLFLOW_TRACKING_URI does not name the server

A run whose server does not answer goes on, and keeps what it logs in its folder, in
mlflow_unsent. It is sent as soon as the server answers. What is left when the run
ends is sent by this command, or when the run is resumed. Nothing is logged twice.

examples:
  python -m dcase_sweep send tracking.uri=http://127.0.0.1:5000
  python -m dcase_sweep send outputs/2026-01-31/12-00-00"""


def main(arguments: list[str]) -> int:
    """Send what is left under the folders; return 0.

    Raises:
        UserError: for a folder that does not exist, or a server that cannot be reached.
    """
    parser = OneLineParser(
        prog="python -m dcase_sweep send",
        usage="python -m dcase_sweep send [FOLDER ...] [KEY=VALUE ...]",
        description="Send what runs have logged while their MLflow server was away.",
        epilog=_EPILOG,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    settings, folders = _split(parser.parse_args(arguments).words)

    from dcase_sweep import tracking

    if not any(map(tracking.find_unsent, folders)):
        print("nothing to send")
        return 0
    log_to_terminal()
    store = open_existing_store(settings)
    for folder in folders:
        tracking.send_unsent(store, folder)
    return 0


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[Path]]:
    settings, folders = {}, []
    for word in words:
        key, _, value = word.partition("=")
        if key in KEYS and value:
            settings[key.removeprefix("tracking.")] = value
        elif Path(word).is_dir():
            folders.append(Path(word))
        else:
            raise UserError(f"{word}: no such folder; expected the folder of a run or a sweep, or {KEYS[0]}=ADDRESS")
    return settings, folders or [Path(name) for name in _FOLDERS if Path(name).is_dir()]
