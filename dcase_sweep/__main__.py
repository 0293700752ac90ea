"""``python -m dcase_sweep``: verbs are passed to their modules in ``cli``; anything else is an experiment for Hydra."""

import errno
import os
import shlex
import sys
from importlib import import_module

from dcase_sweep.utils.collection import own_process
from dcase_sweep.utils.cpu import set_openmp_wait_policy
from dcase_sweep.utils.text import suggest

#: The commands in addition to an experiment, each a module of ``cli``.
VERBS = (
    *("cache", "compare", "complexity", "download", "evaluate", "export", "init"),
    *("inspect", "join", "predict", "runs", "send", "status", "submit"),
)
#: Options of an experiment whose value is the next word.
_TAKE_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")
#: Environment variables that name a folder; an empty value is the same as none.
_PLACES = ("DCASE_SWEEP_CACHE", "HOME", "MLFLOW_TRACKING_URI")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return the exit code."""
    set_openmp_wait_policy()
    for name in _PLACES:
        if not os.environ.get(name, "unset").strip():
            del os.environ[name]  # an empty folder would mean the root of all folders
    try:
        code = _run(arguments)
        _flush()
    except KeyboardInterrupt:  # before there is anything to end, such as during imports
        print("interrupted", file=sys.stderr)
        return 130  # 128 + SIGINT, as in shells
    except BrokenPipeError:  # the reader of our output has closed it, for example head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, as in shells
    return code


def script() -> int:
    """``dcase-sweep``. Modules in the working directory are found, as with ``python -m``."""
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())
    return run()


def run() -> int:
    """Run the command line of this process, which ends afterwards."""
    with own_process():
        return main()


def _flush() -> None:
    """Flush the output. A closed terminal must not change the exit code."""
    for standard in (sys.stdout, sys.stderr):
        try:
            standard.flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), standard.fileno())


def _is_experiment(arguments: list[str]) -> bool:
    """Whether a command line has no verb."""
    return not arguments or "=" in arguments[0] or arguments[0].startswith(("-", "+", "~"))


def _find_late_verb(arguments: list[str]) -> int | None:
    """Return the position of a verb that follows options; None if there is none."""
    for position, word in enumerate(arguments):
        is_value = position > 0 and arguments[position - 1] in _TAKE_VALUE
        if not is_value and "=" not in word and not word.startswith(("-", "+", "~")):
            return position if position > 0 and word in (*VERBS, "help") else None
    return None


def _run(arguments: list[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--version"]:
        from dcase_sweep import __version__

        print(f"dcase_sweep {__version__}")
        return 0
    topic = None
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
        if arguments[0] not in VERBS and not _is_experiment(arguments):
            topic, *arguments = arguments
    late = _find_late_verb(arguments)
    if late is None and _is_experiment(arguments):
        from dcase_sweep.cli.main import main as experiment

        return experiment(arguments, topic)
    from dcase_sweep.utils.errors import UserError, describe_os_error
    from dcase_sweep.utils.secrets import mask_secrets

    verb, rest = arguments[0], arguments[1:]
    try:
        if late is not None:
            before, after = arguments[:late], arguments[late + 1 :]
            words = [*after, *before] if arguments[late] == "help" else [*before, *after]  # its topic follows it
            typed = shlex.join([arguments[late], *words])
            raise UserError(f"{arguments[late]}: a verb comes first: python -m dcase_sweep {typed}")
        if verb not in VERBS:
            hint = suggest(verb, (*VERBS, "help"), otherwise=f"expected one of {', '.join(VERBS)}, or KEY=VALUE")
            raise UserError(f"{verb}: no such verb; {hint}")
        code: int = import_module(f"dcase_sweep.cli.{verb}").main(rest)
        return code
    except UserError as error:
        print(f"error: {mask_secrets(str(error))}", file=sys.stderr)
        return 1
    except (OSError, MemoryError, RuntimeError) as error:
        line = describe_os_error(error)
        if line is None:
            raise
        print(f"error: {mask_secrets(line)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(run())
