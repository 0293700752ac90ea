"""The experiment command: everything on the command line that is not a verb, in Hydra's grammar."""

import io
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.application.sweepers import SweepFailed, raises_failures
from dcase_sweep.cli.detached import FLAG, VARIABLE, start_detached
from dcase_sweep.cli.help import print_help
from dcase_sweep.config.arguments import check_arguments, check_supported, explain_setup
from dcase_sweep.config.command_line import (
    jobs_to_show,
    make_search_a_sweep,
    may_be_sweep,
    place_limits,
    put_options_last,
    quote_choices,
    split_options,
    with_model_of_task,
)
from dcase_sweep.config.compose import ENDLESS, register_experiments, remove_namesakes, shared_config_store
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.hints import explain
from dcase_sweep.config.path_words import quote_paths
from dcase_sweep.config.renamed import rename_overrides
from dcase_sweep.config.resumed import find_sweep, with_words_of_folder
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.jobs import run_composed
from dcase_sweep.utils.errors import UserError, describe_os_error
from dcase_sweep.utils.secrets import mask_secrets

log = logging.getLogger(__name__)

#: Hydra's variable with which it shows tracebacks.
_FULL_ERROR = "HYDRA_FULL_ERROR"


def main(arguments: list[str], topic: str | None = None) -> int:
    """Compose and run an experiment or a sweep; return the exit code.

    0: all finished; 1: a job failed or the configuration is invalid; 130 and 143: interrupted.

    Args:
        arguments: the command-line arguments.
        topic: with ``--help``, the group or key to describe; None = all.
    """
    is_detached = os.environ.pop(VARIABLE, None) is not None
    code = _main(arguments, topic)
    if is_detached:
        print(f"ended     exit code {code}", flush=True)
    return code


def _main(arguments: list[str], topic: str | None) -> int:
    from dcase_sweep.utils.signals import Interrupted

    configured = os.environ.get(_FULL_ERROR)
    outcomes: list[Any] = []
    try:
        register_experiments()
        remove_namesakes()
        if FLAG in arguments:
            arguments = [word for word in arguments if word != FLAG]
            if not {"-h", "--help"} & {*arguments}:
                return start_detached(arguments)
        os.environ[_FULL_ERROR] = "1"  # Hydra passes its exceptions on instead of printing them
        is_sweep = _run(arguments, outcomes, topic)
    except Interrupted as interrupted:
        return interrupted.exit_code
    except SweepFailed as failed:
        for failure in failed.failures:
            print(f"failed: {mask_secrets(failure)}", file=sys.stderr)
        return 1
    except Exception as error:
        line = _describe_error(error, has_run=bool(outcomes))
        if configured not in (None, "", "0") or line is None:
            raise
        print(f"error: {mask_secrets(line)}", file=sys.stderr)
        return 1
    finally:  # the next command of this process is to describe its errors too
        os.environ.pop(_FULL_ERROR, None)
        if configured is not None:
            os.environ[_FULL_ERROR] = configured
    return 0 if is_sweep else _conclude(outcomes)


def _run(arguments: list[str], outcomes: list[Any], topic: str | None) -> bool:
    """Compose and run the experiment or the sweep, and append the results; return whether it is a sweep.

    Raises:
        SweepFailed: if a job of a sweeper of another package has failed in this process.
    """
    is_sweep = False
    failures: list[str] = []

    def task(composed: DictConfig) -> Any:
        nonlocal is_sweep
        settings = HydraConfig.get()
        is_sweep = settings.mode == RunMode.MULTIRUN
        outcome = run_composed(composed)
        outcomes.append(outcome)
        if is_sweep and outcome.status == "failed" and not raises_failures(settings.sweeper._target_):
            failures.append(f"job {settings.job.num} {' '.join(settings.overrides.task)}: {outcome.error}")
        return outcome

    words = _complete(arguments)
    path = SearchPath.of_arguments(words)
    if any(word in ("-h", "--help") for word in words):
        print_help(_without_options(words), path, topic)
        return False
    is_help = "--hydra-help" in words
    commands = [with_model_of_task(each, path) for each in jobs_to_show(words)]
    with _masked_output(words), shared_config_store() if is_help else nullcontext():
        for command in commands:
            if len(commands) > 1:
                _print_heading(command)
            sys.argv[1:] = command
            GlobalHydra.instance().clear()
            hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(task)()
    if failures:
        raise SweepFailed(failures)
    return is_sweep


def _complete(arguments: list[str]) -> list[str]:
    """Check the arguments and return them in Hydra's grammar, with the present names and what they imply.

    Raises:
        UserError: for an argument that is not understood.
    """
    continues_sweep = find_sweep(arguments) is not None
    arguments = quote_paths(arguments, is_sweep=continues_sweep or may_be_sweep(arguments))
    if continues_sweep or not may_be_sweep(arguments):
        arguments = with_words_of_folder(arguments)
    check_supported(arguments)
    path = SearchPath.of_arguments(arguments)
    named = quote_choices(put_options_last(make_search_a_sweep(rename_overrides(place_limits(arguments)))), path)
    words = with_model_of_task(named, path)
    sys.argv = [sys.argv[0], *words]
    check_arguments(jobs_to_show(words)[0], path)
    for hidden in path.hidden():
        print(f"note: {hidden} is not read: the package has a file of this name; rename it", file=sys.stderr)
    return words


def _without_options(words: Sequence[str]) -> list[str]:
    """The overrides of a command line, without the options of Hydra and their values."""
    _, overrides = split_options(words)
    return [word for word in overrides if "=" in word and not word.lstrip("+").startswith("hydra.searchpath=")]


def _describe_error(error: Exception, *, has_run: bool) -> str | None:
    """Describe an error that the user can correct; None for any other, whose traceback is wanted."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return explain(error, sys.argv[1:])
    if isinstance(error, RecursionError):
        return ENDLESS
    if isinstance(error, (OSError, sqlite3.Error)):  # for example if a folder of results cannot be created
        return describe_os_error(error)
    return None if has_run else explain_setup(error)


def _print_heading(words: Sequence[str]) -> None:
    """Start the YAML document of one of several configurations."""
    print(f"---\n# {' '.join(word for word in words if '=' in word and not word.startswith('-'))}")


@contextmanager
def _masked_output(arguments: Sequence[str]) -> Iterator[None]:
    """Mask passwords when Hydra prints a configuration, as for ``--cfg job`` and ``--info``."""
    flags = ("--cfg", "-c", "--info", "-i")
    if not any(word in flags or word.startswith(("--cfg=", "--info=")) for word in arguments):
        yield
        return
    shown = io.StringIO()
    try:
        with redirect_stdout(shown):
            yield
    finally:
        print(mask_secrets(shown.getvalue()), end="")


def _conclude(outcomes: list[Any]) -> int:
    """Print how to open the run, and return the exit code."""
    if not outcomes:
        return 0  # --help, --cfg and the like
    if outcomes[-1].status != "finished":
        return 1
    from dcase_sweep import tracking

    for store in tracking.opened_stores():
        log.info(f"open      {store.command}")
        if outcomes[-1].run_id:
            log.info(f"this run  {store.link_to_run(outcomes[-1].run_id)}")
        log.info(f"all runs  {store.link}")
    return 0
