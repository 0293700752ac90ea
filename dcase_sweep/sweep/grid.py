"""A sweep over all combinations, with checks in advance, a record and a comparison of the jobs."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.gpu_sharing import offering_gpus
from dcase_sweep.sweep.grid_report import read_outcome, report
from dcase_sweep.sweep.job import GridJob
from dcase_sweep.sweep.job_folders import JobFolders
from dcase_sweep.sweep.launchers import (
    check_class,
    check_launcher,
    is_basic,
    is_batch_system,
    is_fused,
    limit_jobs,
    takes_one_job,
)
from dcase_sweep.sweep.launches import BatchLaunches, Launches
from dcase_sweep.sweep.lost_jobs import LostJobs, is_lost, run_each, run_together
from dcase_sweep.sweep.shared_files import leaves_machine
from dcase_sweep.sweep.stored_jobs import protect_stored_jobs
from dcase_sweep.utils import leases
from dcase_sweep.utils.console import describe_remaining, pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.numbers import is_integer
from dcase_sweep.utils.overrides import combinations
from dcase_sweep.utils.secrets import mask_word, masked_yaml

log = logging.getLogger(__name__)

#: Seconds between lines while the jobs are checked.
_QUIET = 5.0


class GridSweeper(Sweeper):
    """Runs all combinations with the configured launcher.

    All jobs are composed and validated before the first one starts. A failed job does not stop the others; it is listed
    in ``failures``.

    Args:
        max_batch_size: number of jobs that the launcher runs at a time; None = as many as it can.
        params: overrides for all sweeps, key → value.
        skip_finished: skip jobs that have finished earlier, according to the application. Continues an interrupted
            sweep.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        skip_finished: bool = False,
    ) -> None:
        self.skip_finished = skip_finished
        self.max_batch_size = max_batch_size
        self.params = params or {}
        self.failures: list[str] = []
        self._application = self.make_application()

    def make_application(self) -> Application:
        """Return the application whose jobs are run."""
        return Application()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store Hydra's context and the task function."""
        self._context = hydra_context
        self._config = config
        self._task = task_function
        check_class(config)
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs and return their results."""
        from dcase_sweep.utils.signals import interruptible

        self._check_settings()
        check_launcher(self._config)
        combined = self._jobs(arguments)
        log.info(f"sweep     {pluralize(len(combined), 'job')}, checked before the first one starts")
        jobs = self._check_jobs(combined)
        folder = Path(self._config.hydra.sweep.dir)
        self._application.check_folder("hydra.sweep.dir", folder)
        continuation = self._application.continue_jobs([job.content for job in jobs], folder)
        self.skip_finished = self.skip_finished or continuation.skips_finished
        jobs = [replace(job, continuation=more) for job, more in zip(jobs, continuation.jobs, strict=True)]
        with interruptible(), self._written(folder):
            record = self._application.start_record(self._name(jobs), arguments, known_id=continuation.record_id)
            log.info(f"folder    {folder}")
            protect_stored_jobs(self._config, folder)
            given = self._application.describe_job(record.id, _varying(jobs))
            jobs, finished = self._without_finished(jobs)
            results: dict[int, JobReturn] = {}
            try:
                self._launch([[*job.overrides, *given, *job.continuation] for job in jobs], jobs, results)
            except BaseException as error:  # compare the finished jobs even if the sweep was interrupted
                status = "KILLED" if _is_stop(error) else "FAILED"
                report(self._application, record, jobs, results, folder, finished, status)
                log.info(f"continue  {self.describe_continuation(arguments, folder)}")
                raise
            failures = report(self._application, record, jobs, results, folder, finished)
            self.failures = [*failures.failed, *failures.interrupted]
            if failures.interrupted:
                log.info(f"continue  {self.describe_continuation(arguments, folder)}")
        return [[results[number] for number in sorted(results)]]

    @contextmanager
    def _written(self, folder: Path) -> Iterator[None]:
        """Write the configuration of the sweep, and hold the file until its end, so that only one command goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "multirun.yaml"
        # The file is replaced by a new one without a lock. Meanwhile the lock on the folder keeps others out.
        with leases.claim_folder(folder) as is_alone, leases.claim(path) as is_free:
            if not (is_alone and is_free):  # it has begun since this command looked for one
                raise UserError(f"hydra.sweep.dir={folder}: another sweep runs there; wait for its end")
            write_text(path, masked_yaml(self._config))
            leases.hold(path)
        try:
            yield
        finally:
            leases.release(path)

    def describe_continuation(self, arguments: Sequence[str], folder: Path) -> str:
        """Return the command that continues an interrupted sweep.

        Args:
            arguments: overrides of the sweep.
            folder: folder of the sweep.
        """
        skipping = [] if self.skip_finished else ["hydra.sweeper.skip_finished=true"]
        return self._application.describe_continuation(self._config, [*arguments, *skipping])

    def _check_settings(self) -> None:
        size = self.max_batch_size
        if size is not None and (not is_integer(size) or size < 1):
            raise UserError(f"hydra.sweeper.max_batch_size={size}: expected a number of jobs, at least 1, or null")
        if not isinstance(self.skip_finished, bool):
            raise UserError(f"hydra.sweeper.skip_finished={self.skip_finished}: expected true or false")
        if not isinstance(self.params, Mapping):
            raise UserError(f"hydra.sweeper.params={self.params}: expected keys with their values, or null")

    def _without_finished(self, jobs: list[GridJob]) -> tuple[list[GridJob], list[GridJob]]:
        """Return the jobs to run and those that have finished earlier."""
        if not self.skip_finished:
            return jobs, []
        rest, finished = [], []
        earlier = self._application.find_finished([job.content for job in jobs])
        for job, found in zip(jobs, earlier, strict=True):
            if found is None:
                rest.append(job)
                continue
            name, outcome = found
            log.info(f"skipped   {' '.join(map(mask_word, job.overrides))}: finished as {name}")
            finished.append(replace(job, outcome=outcome))
        if not rest:
            log.info(f"sweep     all {len(jobs)} jobs have finished: nothing is left to run")
        return rest, finished

    def _jobs(self, arguments: Sequence[str]) -> list[list[str]]:
        """Return the overrides of each job: the product of all sweeps; the last one varies fastest."""
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        defaults = [f"{key}={value}" for key, value in self._application.rename(self.params).items()]
        return [self._application.complete(list(job)) for job in combinations(parser, [*defaults, *arguments])]

    def _check_jobs(self, combined: Sequence[list[str]]) -> list[GridJob]:
        """Compose and check all jobs. Those of a large sweep take minutes, of which a line reports now and then."""
        composer = Composer(self._context, self._config)
        jobs: list[GridJob] = []
        began = said = time.monotonic()
        for overrides in combined:
            jobs.append(GridJob(overrides, self._checked(composer, overrides, is_first=not jobs)))
            now = time.monotonic()
            if now - said > _QUIET and len(jobs) < len(combined):
                left = describe_remaining(len(jobs), len(combined), now - began)
                log.info(f"sweep     {len(jobs):,} of {len(combined):,} jobs checked, about {left}")
                said = now
        return jobs

    def _checked(self, composer: Composer, overrides: Sequence[str], *, is_first: bool) -> Any:
        try:
            composed = composer.compose(overrides)
            if is_first:
                self._application.begin(composed)
            return self._application.check(composed)
        except UserError as error:
            raise UserError(f"job {' '.join(map(mask_word, overrides))}: {error}") from None

    def _launch(self, words: Sequence[list[str]], jobs: Sequence[GridJob], results: dict[int, JobReturn]) -> None:
        """Run the jobs and add their results as they finish.

        Args:
            words: all overrides of each job.
            jobs: the jobs.
            results: the result of each job that has ended, by its position.
        """
        if is_basic(self._config) or is_fused(self._config):
            self._launch_here(words, results)
            return
        progress = _Progress(len(jobs), results)
        lost = LostJobs(self._application, jobs, words, JobFolders(self._context, self._config, words).locate)
        size = self.max_batch_size or max(1, len(jobs))
        limit = min(size, limit_jobs(self._config, len(jobs)))
        with self._offer_gpus(limit):
            if takes_one_job(self._config):
                run_each(self._make_launches(), limit, lost, progress.add)
            else:
                run_together(self._launcher, size, lost, progress.add, self._is_out_of_time)

    def _make_launches(self) -> Launches:
        if is_batch_system(self._config):
            return BatchLaunches(lambda words, number: self._launcher.launch([words], initial_job_idx=number)[0])
        from dcase_sweep.sweep.job_processes import LaunchInProcess, ProcessLaunches

        return ProcessLaunches(LaunchInProcess(self._application, self._context, self._task, self._config))

    def _launch_here(self, words: Sequence[list[str]], results: dict[int, JobReturn]) -> None:
        """Run jobs in this process, by default one by one, so that an interruption loses no finished job.

        Those that train together are launched together; their launcher keeps the results of jobs that have ended.
        """
        size = self.max_batch_size or (max(1, len(words)) if is_fused(self._config) else 1)
        began = time.monotonic()
        for start in range(0, len(words), size):
            left = describe_remaining(start, len(words), time.monotonic() - began)
            if left:
                log.info(f"sweep     {start} of {len(words)} jobs have ended, about {left}")
            try:
                launched = self._launcher.launch(words[start : start + size], initial_job_idx=start)
            except BaseException:
                kept = enumerate(getattr(self._launcher, "finished", ()), start)
                results.update({number: result for number, result in kept if result is not None})
                raise
            ended = dict(enumerate(launched, start))
            results.update(ended)
            if any(map(self._is_out_of_time, ended.values())):
                return  # no time is left for the others either

    def _is_out_of_time(self, result: JobReturn) -> bool:
        """Whether a job has been interrupted; one that was lost is run again."""
        return not is_lost(result) and read_outcome(self._application, result).status == "interrupted"

    def _offer_gpus(self, jobs: int) -> AbstractContextManager[None]:
        """Context in which parallel jobs on this machine share its GPUs.

        Args:
            jobs: how many jobs the launcher gets at a time.
        """
        if is_basic(self._config) or is_batch_system(self._config) or leaves_machine(self._config):
            return nullcontext()
        return offering_gpus(limit_jobs(self._config, jobs), mps=self._application.choose_mps(self._config))

    @staticmethod
    def _name(jobs: Sequence[GridJob]) -> str:
        differing = _varying(jobs)
        return f"sweep over {', '.join(differing)}" if differing else "sweep"


def _is_stop(error: BaseException) -> bool:
    """Whether the error is a request to stop, such as Ctrl-C."""
    return not isinstance(error, Exception)


def _varying(jobs: Sequence[GridJob]) -> list[str]:
    """Return the keys whose values differ between jobs."""
    keys = dict.fromkeys(key for job in jobs for key in job.values)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


class _Progress:
    """Collects the results of launched jobs, and reports now and then how many have ended."""

    def __init__(self, count: int, results: dict[int, JobReturn]) -> None:
        self._count = count
        self._results = results
        self._began = self._said = time.monotonic()

    def add(self, number: int, result: JobReturn) -> None:
        """Add the result of a job."""
        self._results[number] = result
        done, now = len(self._results), time.monotonic()
        if done < self._count and now - self._said > _QUIET:
            left = describe_remaining(done, self._count, now - self._began)
            log.info(f"sweep     {done} of {self._count} jobs have ended, about {left}")
            self._said = now
