"""``--detach``: a sweep or a search in the background, which goes on when the terminal is closed."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.command_line import quote_choices
from dcase_sweep.config.initialized import initialized
from dcase_sweep.config.resumed import SWEEP, find_sweep, insert_overrides
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.sweep.command import is_multirun
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import quote
from dcase_sweep.utils.secrets import is_masked

FLAG = "--detach"
#: Set in the background process, which then ends its log with its exit code.
VARIABLE = "DCASE_SWEEP_DETACHED"
LOG = "detached.log"
#: Keys of which a sweep's folder may depend, beside those of Hydra.
_FILES = ("experiment", "search")
_PAUSE = 0.1


def start_detached(arguments: Sequence[str]) -> int:
    """Start a sweep in the background; return once it is checked and under way, or with its exit code.

    What it prints until then is shown; everything is in its log.

    Args:
        arguments: the other arguments of the command line.

    Raises:
        UserError: for a single run, or on a system without sessions.
    """
    if not hasattr(os, "setsid"):
        raise UserError(f"{FLAG}: not on Windows; start the command in a window of its own: start /min python -m ...")
    folder, is_given = _find_folder(arguments)
    folder.mkdir(parents=True, exist_ok=True)
    log, marker = folder / LOG, folder / SWEEP
    before = _changed(marker)
    own = [] if is_given else [f"hydra.sweep.dir={quote(str(folder))}"]
    with log.open("ab") as output, log.open("rb") as shown:
        shown.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-m", "dcase_sweep", *insert_overrides(own, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {VARIABLE: "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        try:
            while process.poll() is None and _changed(marker) == before:
                _show(shown)
                time.sleep(_PAUSE)
        except KeyboardInterrupt:  # before it is under way
            process.send_signal(signal.SIGINT)
            return process.wait()
        time.sleep(_PAUSE)
        _show(shown)
    if process.returncode is not None:
        return process.returncode
    print("\n".join(_describe(process.pid, folder, log)))
    return 0


def _find_folder(words: Sequence[str]) -> tuple[Path, bool]:
    """Return the folder of a sweep, and whether the command line names it.

    Raises:
        UserError: if the command is no sweep.
    """
    continued = find_sweep(words)
    if continued is not None:
        return continued, True
    settings = _compose_settings(words)
    is_search = any(word.lstrip("+").startswith("search=") for word in words)
    if not (is_multirun(words) or is_search or settings.mode == RunMode.MULTIRUN):
        raise UserError(f"{FLAG}: only a sweep or a search goes on in the background; add -m, or leave {FLAG} out")
    return Path(str(settings.sweep.dir)), any(word.lstrip("+").startswith("hydra.sweep.dir=") for word in words)


def _compose_settings(words: Sequence[str]) -> DictConfig:
    """Compose Hydra's settings from the overrides on which they depend."""
    path = SearchPath.of_arguments(words)
    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    chosen = []
    for word, parsed in zip(overrides, OverridesParser.create().parse_overrides(overrides), strict=True):
        key = parsed.get_key_element().lstrip("+")
        if (key in _FILES or key.startswith("hydra")) and key != "hydra.searchpath" and not parsed.is_sweep_override():
            chosen.append(word)
    with initialized():
        composed = compose("config", [*path.overrides, *quote_choices(chosen, path)], return_hydra_config=True)
    found: DictConfig = composed.hydra
    return found


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _show(handle: BinaryIO) -> None:
    sys.stdout.write(handle.read().decode(errors="replace"))
    sys.stdout.flush()


def _describe(pid: int, folder: Path, log: Path) -> list[str]:
    """Say where a sweep is, and how it is followed and ended."""
    shown = shlex.quote(os.path.relpath(log))
    return [
        f"detached  process {pid}, which goes on when this terminal is closed",
        f"folder    {os.path.relpath(folder)}",
        f"log       tail -f {shown}",
        f"status    {_describe_status(folder)}",
        f"stop      kill {pid} (its log then says how to continue)",
    ]


def _describe_status(folder: Path) -> str:
    """Return the command that shows how far the sweep is."""
    try:
        content: Any = yaml.safe_load((folder / SWEEP).read_text(encoding="utf-8"))
        sweeper = content["hydra"]["sweeper"]
        is_search = "n_trials" in sweeper
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        is_search = False
    if not is_search:
        return "python -m dcase_sweep runs"
    name = OmegaConf.create({"name": sweeper.get("study_name")}).name  # undoes the marks of an interpolation
    storage = str(sweeper.get("storage") or "")
    more = [f"storage={storage}"] if storage and not is_masked(storage) else []
    return shlex.join(["python", "-m", "dcase_sweep", "status", str(name), *more])
