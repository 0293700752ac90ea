"""``join``: work on a search that was begun elsewhere, until it is complete."""

import argparse
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dcase_sweep.cli.parser import CONFIG_DIR, OneLineParser
from dcase_sweep.cli.status import split_words
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.stored_study import StoredStudy

_EPILOG = """\
The study records the command that began the search, so only what differs on this
machine is typed: where its recordings are (data.root=...), hardware=..., the store
of runs (tracking.uri=...), and what a record is not trusted to say, which the first
line of an error names. storage=... may be the environment variable OPTUNA_STORAGE;
workers=N is the number of trials that run at the same time here (1).

It ends when the search is complete: exit code 0, or 1 if it has ended short.
The command that began the search writes the results. If that has ended, the last
line is a command that writes them on this machine.

examples:
  python -m dcase_sweep join STUDY storage=postgresql://user@host/studies
  python -m dcase_sweep join STUDY workers=4 hardware=gpu data.root=/path/to/TAU"""
#: Keys of the record that the options of this verb replace.
_REPLACED = (
    *("hydra.sweeper.study_name", "hydra.sweeper.storage", "hydra.sweeper.workers", "hydra.sweeper.n_jobs"),
    *("hydra.sweeper.n_trials", "hydra/launcher"),
)
#: Words that Hydra reads as other values than texts.
_NOT_TEXTS = ("true", "false", "null", "nan", "inf")


def main(arguments: list[str]) -> int:
    """Work on a search; return the exit code of the experiment command.

    Raises:
        UserError: for an unknown study, another version, or a record that cannot be used.
    """
    options = _parser().parse_intermixed_args(arguments)
    overrides, settings = split_words(options.words, ("storage", "workers"))
    strange = next((word for word in overrides if "=" not in word), None)
    if strange is not None:
        raise UserError(f"{strange}: expected KEY=VALUE; see python -m dcase_sweep join --help")
    workers = settings.get("workers", "1")
    if not workers.isdecimal() or int(workers) < 1:
        raise UserError(f"workers={workers}: expected a whole number of at least 1")
    from dcase_sweep.sweep.optuna.stored import choose_storage, find_study

    typed = [word for word in overrides if word.startswith("tracking.folder=")]
    where = choose_storage(settings.get("storage"), typed[-1].partition("=")[2].strip("'\"") if typed else None)
    study = find_study(where, options.study, waits=True)
    flags = ["--config-dir", options.config_dir] if options.config_dir is not None else []
    recorded = _read_words(study, [*flags, *overrides])
    from dcase_sweep.cli.main import main as run
    from dcase_sweep.sweep.optuna.joining import Joined, joining
    from dcase_sweep.utils.secrets import mask_word

    own = [
        f"hydra.sweeper.study_name={_quote(study.name)}",
        f"hydra.sweeper.n_trials={study.get_setting('n_trials', (int,), 1)}",
        f"hydra.sweeper.workers={int(workers)}",
        *([f"hydra.sweeper.storage={_quote(where)}"] if "storage" in settings or "://" not in where else []),
    ]
    words = [*flags, "-m", *recorded, *own, *overrides]
    joined = Joined(
        study.name,
        command=shlex.join(["python", "-m", "dcase_sweep", "join", *map(mask_word, arguments)]),
        report=shlex.join(["python", "-m", "dcase_sweep", *map(mask_word, words)]),
    )
    with joining(joined):
        return run(words)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m dcase_sweep join",
        usage="python -m dcase_sweep join STUDY [storage=STORAGE] [KEY=VALUE ...]",
        description="Work on a search that was begun on another machine, or by another command.",
        epilog=_EPILOG,
    )
    parser.add_argument("study", metavar="STUDY", help="name of the study; status lists them")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--config-dir", metavar="FOLDER", help=CONFIG_DIR)
    return parser


def _quote(text: str) -> str:
    """Quote a text for Hydra, unless it is a plain name or path: quotes within quotes are hard to read."""
    from dcase_sweep.utils.overrides import quote

    is_plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) and text.lower() not in _NOT_TEXTS
    return text if is_plain else quote(text)


def _read_words(study: "StoredStudy", arguments: Sequence[str]) -> list[str]:
    """Return the overrides that the study records.

    Raises:
        UserError: if the study was not begun by this program in this version, or a word must be typed here.
    """
    from dcase_sweep import __version__
    from dcase_sweep.application.experiments import Experiments
    from dcase_sweep.config.resumed import words_of_study
    from dcase_sweep.config.search_path import SearchPath
    from dcase_sweep.sweep.optuna.attributes import COMMAND
    from dcase_sweep.utils.text import printable

    record: Any = study.user_attrs.get(COMMAND)
    name = printable(study.name)
    if not isinstance(record, dict):
        raise UserError(f"{name}: its command is not recorded; run it once more with this version, then join it")
    if record.get("application") != f"{Experiments.__module__}.{Experiments.__qualname__}":
        raise UserError(f"{name}: a search of another program; run the same command of that program here instead")
    version = printable(record.get("version"), 40)
    if version != __version__:
        raise UserError(f"{name}: begun by dcase_sweep {version}, and this is {__version__}; install {version}")
    given = {*_REPLACED, *(word.partition("=")[0].lstrip("+~") for word in arguments if "=" in word)}
    found = words_of_study(study.name, record.get("hydra"), given, SearchPath.of_arguments(arguments))
    if found.needed:
        raise UserError(
            f"{name}: a storage is not trusted to say which code or recordings are used; add {' '.join(found.needed)}"
        )
    return found.obeyed
