"""A sweep over all combinations, with checks in advance, a record and a comparison of the jobs."""

import io
import itertools
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from dcase_sweep.sweep.application import Application, Record
from dcase_sweep.sweep.comparison import Comparison, Entry, compare, table, to_csv
from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.gpu_sharing import offering_gpus
from dcase_sweep.sweep.job import GridJob, PooledRow
from dcase_sweep.sweep.launchers import (
    check_launcher,
    is_basic,
    is_batch_system,
    is_fused,
    is_stopped_job,
    limit_workers,
)
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.sweep.shared_files import leaves_machine
from dcase_sweep.sweep.stored_jobs import protect_stored_jobs
from dcase_sweep.sweep.summary import draw_comparison, summarise, to_markdown
from dcase_sweep.utils import leases
from dcase_sweep.utils.console import describe_remaining, pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.overrides import combinations
from dcase_sweep.utils.secrets import mask_word, masked_yaml
from dcase_sweep.utils.text_table import terminal_width

log = logging.getLogger(__name__)

#: The figure of a comparison; by its name it comes before the tables in a list.
FIGURE = "comparison-figure.png"
#: Seconds between lines while the jobs are checked.
_QUIET = 5.0


class GridSweeper(Sweeper):
    """Runs all combinations with the configured launcher.

    All jobs are composed and validated before the first one starts. A failed job does not stop the others; it is listed
    in ``failures``.

    Args:
        max_batch_size: number of jobs passed to the launcher at a time; None = all.
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
        jobs = [replace(job, continuation=more) for job, more in zip(jobs, continuation.jobs, strict=True)]
        with interruptible(), self._written(folder):
            record = self._application.start_record(self._name(jobs), arguments, known_id=continuation.record_id)
            log.info(f"folder    {folder}")
            protect_stored_jobs(self._config, folder)
            given = self._application.describe_job(record.id, _varying(jobs))
            jobs, finished = self._without_finished(jobs)
            results: list[JobReturn | None] = []
            try:
                self._launch([[*job.overrides, *given, *job.continuation] for job in jobs], results)
            except BaseException as error:  # compare the finished jobs even if the sweep was interrupted
                self._report(record, jobs, results, folder, finished, "KILLED" if _is_stop(error) else "FAILED")
                log.info(f"continue  {self.describe_continuation(arguments, folder)}")
                raise
            if self._report(record, jobs, results, folder, finished):
                log.info(f"continue  {self.describe_continuation(arguments, folder)}")
        return [results]

    @contextmanager
    def _written(self, folder: Path) -> Iterator[None]:
        """Write the configuration of the sweep, and hold the file until its end, so that only one command goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "multirun.yaml", masked_yaml(self._config))
        leases.hold(folder / "multirun.yaml")
        try:
            yield
        finally:
            leases.release(folder / "multirun.yaml")

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
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
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

    def _launch(self, jobs: Sequence[Sequence[str]], results: list[JobReturn | None]) -> None:
        """Run the jobs and append their results as they finish."""
        # Sequential jobs can be launched one by one, so that an interruption loses no finished job.
        size = self.max_batch_size or (1 if is_basic(self._config) else max(1, len(jobs)))
        began = time.monotonic()
        with self._offer_gpus(min(size, len(jobs))):
            for start in range(0, len(jobs), size):
                left = describe_remaining(start, len(jobs), time.monotonic() - began)
                if left:
                    log.info(f"sweep     {start} of {len(jobs)} jobs have ended, about {left}")
                try:
                    results += self._launcher.launch(jobs[start : start + size], initial_job_idx=start)
                except BaseException:
                    results += getattr(self._launcher, "finished", [])  # of a launcher that keeps them
                    raise
                if any(result and self._read(result).status == "interrupted" for result in results[start:]):
                    return  # no time is left for the others either

    def _offer_gpus(self, jobs: int) -> AbstractContextManager[None]:
        """Context in which parallel jobs on this machine share its GPUs.

        Args:
            jobs: how many jobs the launcher gets at a time.
        """
        if (
            is_basic(self._config)
            or is_fused(self._config)
            or is_batch_system(self._config)
            or leaves_machine(self._config)
        ):
            return nullcontext()
        return offering_gpus(limit_workers(self._config, jobs), mps=self._application.choose_mps(self._config))

    @staticmethod
    def _name(jobs: Sequence[GridJob]) -> str:
        differing = _varying(jobs)
        return f"sweep over {', '.join(differing)}" if differing else "sweep"

    def _report(
        self,
        record: Record,
        jobs: Sequence[GridJob],
        results: Sequence[JobReturn | None],
        folder: Path,
        finished: Sequence[GridJob] = (),
        status: str | None = None,
    ) -> bool:
        """Compare the finished jobs; the others count as not finished. Returns whether a job was interrupted.

        Args:
            record: the record of the sweep.
            jobs: the jobs that were run.
            results: the results of the finished jobs, in the same order; None for one that has not finished.
            folder: the folder of the sweep.
            finished: jobs that finished earlier.
            status: status of the record; None = failed if any job has failed.
        """
        run = [
            job if result is None else replace(job, outcome=self._read(result))
            for job, result in itertools.zip_longest(jobs, results)
        ]
        failures = _list_errors(run, "failed")
        interrupted = _list_errors(run, "interrupted")
        self.failures = [*failures, *interrupted]
        pooled = self._pool([*finished, *run])
        entries = [_entry(job.values, job.outcome) for job in [*finished, *run]]
        comparison = compare([*entries, *(_entry(each.values, each.outcome) for each in pooled)])
        _save(record, comparison, pooled, folder)
        record.log_metrics(summarise(entries))
        if status or interrupted:
            record.give_up(status or "KILLED")
        else:
            record.end("FAILED" if failures else "FINISHED")
        log.info(f"\n{table(comparison, terminal_width())}\n")
        done = len([result for result in results if result is not None]) - len(self.failures) + len(finished)
        wanted = len(jobs) + len(finished)
        log.info(f"sweep     {done} of {wanted} jobs finished, {os.path.relpath(folder)}")
        if record.command:
            log.info(f"compare   {record.command}")
        if record.link:
            log.info(f"page      {record.link}")
        return bool(interrupted)

    def _pool(self, jobs: Sequence[GridJob]) -> list[PooledRow]:
        """Return the rows for several jobs together. An error is only logged."""
        try:
            return self._application.pool(jobs)
        except UserError as error:
            log.warning(f"pooled    none: {error}")
            return []

    def _read(self, result: JobReturn) -> Outcome:
        """Read the outcome of a job. An error may come from the task function or from the launcher."""
        try:
            with redirect_stderr(io.StringIO()):  # Hydra's error names the job; here it is compared with the others
                returned = result.return_value  # raises the error of the job
        except BaseException as error:
            status: Literal["failed", "interrupted"] = "interrupted" if is_stopped_job(error) else "failed"
            return Outcome(status, error=f"{type(error).__name__}: {' '.join(str(error).split())}")
        try:
            return self._application.read_outcome(returned)
        except UserError as error:
            return Outcome("failed", error=str(error))


def _list_errors(jobs: Sequence[GridJob], status: str) -> list[str]:
    """Describe the jobs that ended in this way, one line each."""
    return [
        f"{' '.join(map(mask_word, job.overrides))}: {job.outcome.error}"
        for job in jobs
        if job.outcome is not None and job.outcome.status == status
    ]


def _entry(values: dict[str, str], outcome: Outcome | None) -> Entry:
    if outcome is None:
        return Entry(values, "interrupted", {})
    return Entry(
        values,
        outcome.status,
        dict(outcome.metrics),
        outcome.seconds,
        outcome.note,
        outcome.coverage,
        outcome.columns,
    )


def _is_stop(error: BaseException) -> bool:
    """Whether the error is a request to stop, such as Ctrl-C."""
    return not isinstance(error, Exception)


def _varying(jobs: Sequence[GridJob]) -> list[str]:
    """Return the keys whose values differ between jobs."""
    keys = dict.fromkeys(key for job in jobs for key in job.values)
    return [key for key in keys if len({job.values.get(key) for job in jobs}) > 1]


def _save(record: Record, comparison: Comparison, pooled: Sequence[PooledRow], folder: Path) -> None:
    record.describe(comparison.notes, to_markdown(comparison))
    files = {"comparison.txt": table(comparison) + "\n", "comparison.csv": to_csv(comparison)}
    reports = [f"{_describe(each.values)}\n\n{each.report}\n" for each in pooled if each.report]
    if reports:
        files["pooled.txt"] = "\n\n".join(reports)
    for name, text in files.items():
        write_text(folder / name, text)
        record.log_text(text, name)
    if len(pooled) == 1:
        found = pooled[0].outcome.metrics
        shown = [column.metric for column in pooled[0].outcome.columns if column.metric.startswith("test/")]
        record.log_metrics({f"pooled/{name}": found[name] for name in shown if name in found})
    try:
        figure = draw_comparison(comparison, folder / FIGURE)
    except Exception as error:  # what cannot be drawn costs a line, not the sweep
        log.warning(f"note      {FIGURE} cannot be drawn: {type(error).__name__}: {str(error).splitlines()[:1]}")
        return
    if figure is not None:
        record.log_file(figure, None)


def _describe(values: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())
