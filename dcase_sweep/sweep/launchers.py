"""The Hydra launcher of a sweep: checks, and how many of its processes run at a time."""

import copy
import re
from dataclasses import dataclass
from importlib.util import find_spec

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.plugins import check_plugin
from dcase_sweep.utils.cpu import usable_cores
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.numbers import is_integer, is_number
from dcase_sweep.utils.text import printable

#: Hydra imports its plugins a second time for itself, so our classes are never instances of its launcher classes.
_BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
#: The packages of launchers, by which ``hydra.launcher._target_`` begins.
SUBMITIT, JOBLIB = "hydra_plugins.hydra_submitit_launcher", "hydra_plugins.hydra_joblib_launcher"
_RAY = "hydra_plugins.dcase_sweep.RayLauncher"
#: The launcher that trains jobs together.
FUSED = "hydra_plugins.dcase_sweep.FusedLauncher"
#: A launch that fails within so many seconds has not been accepted.
AT_ONCE = 10.0
#: Largest number of parallel processes of a launcher or a search on one machine.
MOST_PROCESSES = 1024
_STATE = re.compile(r"Job (\S+) .*?\(state: ([\w ]+)", re.DOTALL)


class JobLost(Exception):
    """A job has ended without a result, because its process or its machine has ended."""


class JobFailed(Exception):
    """A job has failed outside the function that it runs. The message is one line."""


@dataclass(frozen=True, slots=True)
class JobState:
    """What submitit says of a job without a result: its ID, and its state in the batch system."""

    job: str
    name: str

    def describe(self) -> str:
        """Describe the end of the job in words."""
        return f"its job {self.job} has ended without a result (state {self.name})"

    @property
    def is_time_limit(self) -> bool:
        """Whether the job has come to the end of its time."""
        return self.name.startswith("TIMEOUT")


def find_state(error: BaseException) -> JobState | None:
    """Return the state of a job without a result from the error of submitit, whose message goes on with its output."""
    found = _STATE.search(str(error))
    return None if found is None else JobState(*found.groups())


def describe_error(error: Exception) -> str:
    """Describe an error that a launcher has raised in one line."""
    kind = "" if type(error) is RuntimeError else f"{type(error).__name__}: "
    return printable(" ".join(f"{kind}{error}".split()), 300)


def _get_class(config: DictConfig) -> str:
    return str(OmegaConf.select(config, "hydra.launcher._target_", default=_BASIC))


def _is_of(config: DictConfig, package: str) -> bool:
    return _get_class(config).startswith(f"{package}.")


def is_basic(config: DictConfig) -> bool:
    """Whether jobs run in this process, one after the other, which is Hydra's default."""
    return _get_class(config) == _BASIC


def is_batch_system(config: DictConfig) -> bool:
    """Whether the launcher submits jobs that do not need the process that has submitted them."""
    return _is_of(config, SUBMITIT)


def is_fused(config: DictConfig) -> bool:
    """Whether the launcher trains jobs together."""
    return _get_class(config) == FUSED


def takes_one_job(config: DictConfig) -> bool:
    """Whether each job of a grid is launched and watched by itself.

    Hydra's own launcher runs them one after the other anyway. Any other launcher (Ray, for example) gets all jobs in
    one call, so that it can run them together.
    """
    return _is_of(config, SUBMITIT) or _is_of(config, JOBLIB)


def limit_jobs(config: DictConfig, jobs: int) -> int:
    """Return how many jobs of a grid are launched at a time, at most as many as there are."""
    parallel = OmegaConf.select(config, "hydra.launcher.array_parallelism", default=None)
    return limit_workers(config, jobs if not isinstance(parallel, int) else min(jobs, max(1, parallel)))


def limit_workers(config: DictConfig, workers: int) -> int:
    """Return how many workers a launcher runs at a time, at most as many as are wanted."""
    count = OmegaConf.select(config, "hydra.launcher.n_jobs", default=None)
    if not _is_of(config, JOBLIB) or not isinstance(count, int):
        return workers
    return min(workers, count if count > 0 else max(1, usable_cores() + 1 + count))


def without_processes(config: DictConfig) -> DictConfig:
    """Return a configuration whose launcher runs a single job in its own process, if it can."""
    if not _is_of(config, JOBLIB):
        return config
    config = copy.deepcopy(config)
    config.hydra.launcher.n_jobs = 1
    return config


def check_class(config: DictConfig) -> None:
    """Check that Hydra has found the class of the launcher.

    Raises:
        UserError: if not, with what to do.
    """
    check_plugin("hydra.launcher._target_", _get_class(config), Launcher)


def check_launcher(config: DictConfig) -> None:
    """Check that a launcher is installed, and its number of parallel jobs.

    Raises:
        UserError: for a missing package or an impossible number, with the key.
    """
    if _get_class(config) == _RAY:
        _check_ray(config.hydra.launcher)
    if is_fused(config):
        _check_fused(config.hydra.launcher)
    count = OmegaConf.select(config, "hydra.launcher.n_jobs", default=None)
    if count is None:
        return
    if not is_integer(count) or count == 0:
        raise UserError(f"hydra.launcher.n_jobs={count}: expected a whole number of jobs, or -1 for one a core")
    if not -MOST_PROCESSES <= count <= MOST_PROCESSES:
        raise UserError(
            f"hydra.launcher.n_jobs={count}: expected at most {MOST_PROCESSES:,} at a time (this process may use "
            f"{usable_cores()} cores)"
        )


def _check_fused(launcher: DictConfig) -> None:
    most, stacked = launcher.get("max_jobs"), launcher.get("stacked")
    if most is not None and (not is_integer(most) or most < 1):
        raise UserError(f"hydra.launcher.max_jobs={most}: expected a number of jobs, at least 1, or null")
    if stacked is not None and not isinstance(stacked, bool):
        raise UserError(f"hydra.launcher.stacked={stacked}: expected true, false or null")


def _check_ray(launcher: DictConfig) -> None:
    if find_spec("ray") is None:
        raise UserError("hydra/launcher=ray: Ray is not installed; pip install 'dcase-sweep[ray]'")
    for name in ("num_cpus", "num_gpus"):
        count = launcher[name]
        if not is_number(count) or count < 0:
            raise UserError(f"hydra.launcher.{name}={count}: expected a number of at least 0")


def is_stopped_job(error: BaseException) -> bool:
    """Whether a launcher reports that the batch system or the cluster has ended a job. Does not import submitit."""
    return isinstance(error, JobLost) or "UncompletedJobError" in {kind.__name__ for kind in type(error).__mro__}
