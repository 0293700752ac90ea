"""The experiment command: everything on the command line that is not a verb, in Hydra's grammar."""

import io
import logging
import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.arguments import check_arguments, explain_setup, put_flags_first
from dcase_sweep.config_files import read_config, register_config_source
from dcase_sweep.errors import UserError, told_by_the_system
from dcase_sweep.hints import GROUPS, explain
from dcase_sweep.outcome import Outcome
from dcase_sweep.resources import conf_folder, experiment_folders
from dcase_sweep.sweep.grid import GridSweeper
from dcase_sweep.sweep.search.sweeper import OptunaSweeper
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_secrets, mask_values, mask_word, masked_yaml
from dcase_sweep.watching import Watcher

if TYPE_CHECKING:
    from dcase_sweep.config import Experiment

log = logging.getLogger(__name__)

#: What is said where the configuration cannot be composed.
ENDLESS = "the configuration refers to itself without end; see the defaults lists under --config-dir and experiments/"
_GROUPS = (*GROUPS, "search")
_NUMBER = re.compile(r"\d[\d_]*(\.\d*)?(e\d+)?")
#: Texts of Hydra's own that name a place or a study.
_HYDRA_TEXTS = (
    "hydra.run.dir",
    "hydra.sweep.dir",
    "hydra.sweep.subdir",
    "hydra.sweeper.study_name",
    "hydra.sweeper.storage",
)
#: Settings that a single run has no use for.
_OF_SWEEPS = ("hydra/sweeper", "hydra.sweeper.", "hydra/launcher", "hydra.launcher.", "hydra.sweep.")


def quote_task(arguments: list[str]) -> list[str]:
    """Let people type ``task=4``: Hydra reads it as a number, and a group's choice must be text."""
    quoted = []
    for argument in arguments:
        found = re.fullmatch(rf"(\+?(?:{'|'.join(_GROUPS)})=)([0-9A-Za-z_,.]+)", argument)
        if found:
            names = (f"'{name}'" if _NUMBER.fullmatch(name) else name for name in found[2].split(","))
            argument = found[1] + ",".join(names)
        quoted.append(argument)
    return quoted


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Refuse what Hydra would take without a word, or by running what a file holds.

    Raises:
        UserError: in one line, for a list where a group has one choice, an empty choice or folder, settings of a sweep
            without a sweep, and for ``--experimental-rerun``, which unpickles a file.
    """
    from dcase_sweep.config import check_written, refuse_several

    is_single = not any(argument.startswith(("-", "search=")) for argument in arguments)
    for argument in arguments:
        flag = argument.partition("=")[0]
        if len(flag) > 2 and "--experimental-rerun".startswith(flag):
            raise UserError(f"{flag}: would run code that a file holds; expected the line that the run's log shows")
        key, equals, value = argument.partition("=")
        key = key.lstrip("+")
        if not equals or not (key in _GROUPS or key.startswith("hydra/") or key in _HYDRA_TEXTS):
            continue
        if not value.strip("'\" "):
            raise UserError(f"{argument}: empty; expected a name or a path, or leave it out")
        if key in ("hydra.run.dir", "hydra.sweep.dir"):  # which Hydra makes before it calls anything of ours
            check_written(key, value.strip("'\""))
        elif key not in _HYDRA_TEXTS:
            refuse_several(argument)
    idle = [each for each in arguments if each.lstrip("+").startswith(_OF_SWEEPS)] if is_single else []
    if idle:
        raise UserError(f"{idle[0]}: does nothing in a single run; add -m for a sweep, or leave it out")


def with_model_of_task(overrides: list[str]) -> list[str]:
    """Add the model that a task's file names, where a task is chosen and no model.

    A model chooses its task by itself; so ``task=4`` alone must choose a model, or no job of ``-m task=1a,4`` but
    those of one task could run.
    """
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    if "task" not in keys or "model" in keys or "experiment" in keys:
        return overrides
    place = keys.index("task")
    path = conf_folder() / "task" / (overrides[place].partition("=")[2].strip("'\"") + ".yaml")
    if not path.is_file():
        return overrides  # several tasks, or none that Hydra will find
    return [*overrides[: place + 1], f"model={OmegaConf.load(path).task.model}", *overrides[place + 1 :]]


def open_demo(arguments: list[str]) -> list[str]:
    """Let people type ``data.train_clips=100`` for the demo data, whose keys are those of the task's class.

    No file of a group could list them all; what the class does not know is refused with the rest of the checks.
    """
    chosen = dict(argument.lstrip("+").split("=", 1) for argument in arguments if "=" in argument)
    if chosen.get("data", "demo") != "demo" or "experiment" in chosen:
        return arguments
    return [f"++{argument}" if re.match(r"data\.\w+=", argument) else argument for argument in arguments]


def share_config_store() -> None:
    """Let Hydra's compositions share its one store of configurations instead of copying it.

    It copies the store each time it asks for a group's choices, a hundred times for a ``--help``; what it loads from
    the store it copies again, so that nothing can change it.
    """
    ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]


def register_experiments() -> None:
    """Make every file of the experiment folders a choice of ``+experiment``; a broken one is told and left out.

    Every configuration file is checked when it is read, from then on.
    """
    register_config_source()
    store = ConfigStore.instance()
    for folder in experiment_folders():
        for path in sorted(folder.glob("*.yaml")):
            try:
                node = read_config(path)
            except UserError as error:
                print(f"warning: {error}; left out", file=sys.stderr)
                continue
            store.store(group="experiment", name=path.stem, node=node, package="_global_", provider=str(folder))


def register_sweepers() -> None:
    """Let ``hydra/sweeper=grid`` and ``hydra/sweeper=optuna`` find their classes.

    Hydra instantiates plugins of the namespace ``hydra_plugins`` only. A package there would be installed beside
    ours; the name alone is enough.
    """
    GridSweeper.complete = staticmethod(with_model_of_task)
    OptunaSweeper.complete = staticmethod(with_model_of_task)
    for sweeper in (GridSweeper, OptunaSweeper):
        Plugins.instance().class_name_to_class[f"hydra_plugins.dcase_sweep.{sweeper.__name__}"] = sweeper


def complete_search(arguments: list[str]) -> list[str]:
    """Let ``search=NAME`` alone mean a sweep by Optuna: there is no other use of it."""
    if not any(argument.startswith("search=") for argument in arguments):
        return arguments
    flag = [] if {"-m", "--multirun"} & set(arguments) else ["--multirun"]
    is_chosen = any(argument.startswith("hydra/sweeper=") for argument in arguments)
    return [*flag, *arguments, *([] if is_chosen else ["hydra/sweeper=optuna"])]


def run_composed(composed: DictConfig, watcher: Watcher | None = None, experiment: "Experiment | None" = None) -> Any:
    """What Hydra calls for each job: never raises but for an interruption, so that one job cannot end a sweep.

    Args:
        experiment: the configuration's values where they have been checked already.
    """
    from dcase_sweep import tracking
    from dcase_sweep.config import check, check_hydra, check_written

    settings = HydraConfig.get()
    _mask_saved_configurations(settings, composed)
    try:
        check_hydra(settings)
        check_written("hydra.run.dir", str(settings.runtime.output_dir))
        checked = experiment or check(composed)
        tracking.check_store(checked.tracking)
    except UserError as error:  # before the libraries are loaded that train and log, which takes seconds
        _say_error(str(error))
        folder = str(settings.runtime.output_dir)
        return Outcome("failed", str(settings.job.name), folder, error=str(error).splitlines()[0])
    return _run_checked(checked, composed, watcher)


def _run_checked(experiment: "Experiment", composed: DictConfig, watcher: Watcher | None) -> Outcome:
    """Run an experiment as this job of Hydra's."""
    from dcase_sweep import runner
    from dcase_sweep.config import task_overrides
    from dcase_sweep.interruption import interruptible

    settings = HydraConfig.get()
    choices = {group: str(settings.runtime.choices[group]) for group in GROUPS if settings.runtime.choices.get(group)}
    overrides = tuple(
        mask_word(override)
        for override in task_overrides(settings)
        if not override.startswith(("++tracking.", "search="))
    )
    job = runner.Job(
        folder=Path(settings.runtime.output_dir),
        choices=choices,
        overrides=overrides,
        varying=tuple(OmegaConf.select(composed, "tracking.varying", default=())),
        composed=masked_yaml(composed),
        command=shlex.join(
            ["python", "-m", "dcase_sweep", *(word for word in overrides if not word.startswith("resume="))]
        ),
    )
    try:
        with interruptible():
            return runner.run(experiment, job, watcher)
    except UserError as error:
        _say_error(str(error))
        return Outcome("failed", job.name, str(job.folder), error=str(error).splitlines()[0])
    except Exception as error:
        line = told_by_the_system(error)
        if line is not None:
            _say_error(line)
            return Outcome("failed", job.name, str(job.folder), error=line)
        log.exception(f"error: {job.name} failed: {type(error).__name__}: {error}")
        return Outcome("failed", job.name, str(job.folder), error=f"{type(error).__name__}: {error}")


def _say_error(line: str) -> None:
    """Log it, or print it where the configured logging is silent: no failure goes without its reason."""
    if log.disabled or not log.isEnabledFor(logging.ERROR):
        print(f"error: {line}", file=sys.stderr)
    else:
        log.error(f"error: {line}")


def _mask_saved_configurations(settings: Any, composed: DictConfig) -> None:
    """Write anew what Hydra has saved beside a run, where a password stands in it: Hydra writes what was typed."""
    if settings.output_subdir is None:
        return
    parts = (composed, settings)
    if all(mask_values(plain) == plain for plain in (OmegaConf.to_container(part, resolve=False) for part in parts)):
        return
    for path in (Path(settings.runtime.output_dir) / settings.output_subdir).glob("*.yaml"):
        write_text(path, masked_yaml(OmegaConf.load(path)))


def main(arguments: list[str]) -> int:
    """Compose and run what was asked for; returns the exit code.

    0: all finished; 1: a job failed or the configuration was refused; 130 and 143: interrupted.
    """
    from dcase_sweep.interruption import Interrupted

    share_config_store()
    register_experiments()
    register_sweepers()
    want_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("0", "")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them
    outcomes: list[Any] = []
    began = False

    def task(composed: DictConfig) -> Any:
        nonlocal began
        began = True
        outcomes.append(run_composed(composed))
        return outcomes[-1]

    try:
        refuse_arguments(arguments)
        understood = with_model_of_task(quote_task(open_demo(complete_search(put_flags_first(arguments)))))
        sys.argv = [sys.argv[0], *understood]
        check_arguments(understood)
        with _masked_output(understood):
            hydra.main(config_path=str(conf_folder()), config_name="config", version_base="1.3")(task)()
    except Interrupted as interrupted:
        return interrupted.exit_code
    except (HydraException, OmegaConfBaseException, UserError) as error:
        if want_traceback:
            raise
        words = str(error) if isinstance(error, UserError) else explain(error, sys.argv[1:])
        print(f"error: {mask_secrets(words)}", file=sys.stderr)
        return 1
    except RecursionError:
        print(f"error: {ENDLESS}", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:  # a folder of results, say, that cannot be made
        line = told_by_the_system(error)
        if want_traceback or line is None:
            raise
        print(f"error: {mask_secrets(line)}", file=sys.stderr)
        return 1
    except Exception as error:
        line = None if began or GridSweeper.latest or OptunaSweeper.latest else explain_setup(error)
        if want_traceback or line is None:
            raise
        print(f"error: {mask_secrets(line)}", file=sys.stderr)
        return 1
    return _conclude(outcomes)


@contextmanager
def _masked_output(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra show a configuration, as ``--cfg job`` and ``--info`` do, without the passwords in it."""
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
    """Say where the run is and how to open it, or what failed."""
    sweep = GridSweeper.latest or OptunaSweeper.latest
    if sweep is not None:
        for failure in sweep.failures:
            print(f"failed: {mask_secrets(failure)}", file=sys.stderr)
        return 1 if sweep.failures else 0
    if not outcomes:
        return 0  # --help, --cfg and the like
    if outcomes[-1].status != "finished":
        return 1
    from dcase_sweep import tracking

    for store in tracking.opened_stores():
        log.info(f"open      {store.command}")
    return 0
