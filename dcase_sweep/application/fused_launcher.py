"""A Hydra launcher that trains the jobs of one architecture together, in one process on one device."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from dcase_sweep.application.together import find_obstacle, is_free, make_turns
from dcase_sweep.sweep.composer import Composer
from dcase_sweep.utils.secrets import mask_word
from dcase_sweep.utils.turns import Turn

log = logging.getLogger(__name__)


def group(configurations: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the places of configurations that suggest one architecture, in groups.

    Args:
        configurations: their values by key.
    """
    varying = {key for each in configurations for key, value in each.items() if isinstance(value, float)}
    groups: dict[str, list[int]] = {}
    for place, each in enumerate(configurations):
        fixed = {key: value for key, value in each.items() if key not in varying and not is_free(key)}
        groups.setdefault(repr(sorted(fixed.items())), []).append(place)
    return list(groups.values())


class FusedLauncher(Launcher):
    """Runs jobs in this process, and trains those of one architecture together.

    Everything else of a job is as without this launcher: its run, folder, checkpoints, best epoch and resumption. Jobs
    that cannot be trained together run one after the other; a line says why.

    Args:
        max_jobs: largest number of jobs that are trained together; None = as many as fit in memory.
        stacked: whether their networks are computed as one, if their learner can; None = on a GPU.

    Attributes:
        finished: the results of the jobs that have ended, by their places; the others are None.
    """

    def __init__(self, max_jobs: int | None = None, stacked: bool | None = None) -> None:
        self.max_jobs = max_jobs
        self.stacked = stacked
        self.finished: list[JobReturn | None] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store Hydra's context and the task function."""
        self._context, self._task, self._config = hydra_context, task_function, config
        self._composer = Composer(hydra_context, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their results in the same order.

        Raises:
            Interrupted: after Ctrl-C, SIGTERM or another signal that asks for an end; the jobs get it, too.
        """
        from dcase_sweep.utils.signals import interruptible

        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        self.finished = [None] * len(job_overrides)
        jobs = [
            _Job(self._compose(overrides, initial_job_idx + place), place, initial_job_idx + place, overrides)
            for place, overrides in enumerate(job_overrides)
        ]
        with interruptible():
            for places in group([job.read() for job in jobs]):
                self._run([jobs[place] for place in places])
        return [result for result in self.finished if result is not None]

    def _compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        config = self._composer.compose(overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _run(self, jobs: Sequence["_Job"]) -> None:
        """Run jobs whose configurations suggest one architecture."""
        obstacle = _find_obstacle(jobs[0].config)
        if obstacle is not None:
            if len(jobs) > 1:
                log.info(f"alone     {obstacle}")
            for job in jobs:
                log.info(job.title)
                self.finished[job.place] = self._run_job(job)
            return
        from dcase_sweep.training.fused.coordinator import Coordinator

        turns = make_turns({str(job.number): partial(self._run_job, job) for job in jobs})
        with _titled({turn.name: job.title for turn, job in zip(turns, jobs, strict=True)}):
            try:
                Coordinator(turns, self.max_jobs, self.stacked).run()
            finally:
                for turn, job in zip(turns, jobs, strict=True):
                    self.finished[job.place] = turn.result

    def _run_job(self, job: "_Job") -> JobReturn:
        try:
            return run_job(
                hydra_context=self._context,
                task_function=self._task,
                config=job.config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        finally:
            configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)


class _Job:
    """A job.

    Args:
        config: its composed configuration.
        place: its place among the results.
        number: its number in the sweep.
        overrides: its overrides.
    """

    def __init__(self, config: DictConfig, place: int, number: int, overrides: Sequence[str]) -> None:
        self.config = config
        self.place = place
        self.number = number
        varying = OmegaConf.select(config, "tracking.varying", default=None) or ()
        words = filter_overrides(overrides)
        shown = [word for word in words if word.lstrip("+").partition("=")[0] in varying]
        self.title = f"#{number:<8} {' '.join(map(mask_word, shown))}".rstrip()

    def read(self) -> dict[str, Any]:
        """Return the values of the configuration by key."""
        from dcase_sweep.config.flat import flatten

        return flatten(OmegaConf.to_container(_without_hydra(self.config)))


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _find_obstacle(config: DictConfig) -> str | None:
    """Return the reason why jobs of a configuration are not trained together, if the configuration tells it."""
    from dcase_sweep.config import check
    from dcase_sweep.utils.errors import UserError

    try:
        return find_obstacle(check(_without_hydra(config)))
    except UserError:
        return "the configuration is not valid"


@contextmanager
def _titled(titles: dict[str, str]) -> Iterator[None]:
    """Context in which a line with the title of a job comes before its lines, when another one has written before."""
    make = logging.getLogRecordFactory()
    latest: list[str] = [""]

    def make_titled(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        turn = Turn.current()
        name = turn.name if turn is not None else ""
        is_new, latest[0] = name != latest[0], name
        if is_new and name:
            log.info(titles[name])
        return make(*arguments, **keywords)

    logging.setLogRecordFactory(make_titled)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
