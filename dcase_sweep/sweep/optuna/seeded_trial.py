"""A trial that is trained with several seeds, one after the other or together. Its result is their mean.

The pruner sees the epochs of the first seed: a trial that is pruned costs a part of one training, and its steps compare
with those of the other trials. A trial that survives its first seed is trained with all of them.
"""

import gc
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import optuna
from optuna.trial import Trial

from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.outcomes import describe_error
from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.optuna.seed_jobs import SeedJob, SeedJobs, read_seed_jobs
from dcase_sweep.sweep.optuna.seed_reporter import SeedReporter
from dcase_sweep.sweep.optuna.seeds import average
from dcase_sweep.sweep.optuna.trial_builder import Attempt, TrialBuilder, list_reported
from dcase_sweep.sweep.outcomes import Outcome, format_value
from dcase_sweep.sweep.record import Record
from dcase_sweep.sweep.reporting import ConstraintViolation
from dcase_sweep.sweep.summary import make_markdown

log = logging.getLogger(__name__)

#: How a trial ends of whose seeds several have not finished.
_SEVERITY = ("finished", "failed", "interrupted", "pruned")  # the first one lacks an objective


class SeededTrial:
    """Runs the jobs of one trial, except those that an earlier attempt has finished.

    Args:
        study: the study.
        trial: the trial.
        builder: builds the jobs.
        run_job: runs a job and returns its outcome.
        find_shortage: describes why the remaining time holds no epoch; None if it does.
    """

    def __init__(
        self,
        study: optuna.Study,
        trial: Trial,
        builder: TrialBuilder,
        run_job: Callable[[PreparedJob, TrialReporter], Outcome],
        find_shortage: Callable[[], str | None],
    ) -> None:
        self._trial = trial
        self._builder = builder
        self._config = builder.search_config
        self._run_job = run_job
        self._find_shortage = find_shortage
        self._jobs = SeedJobs(trial)
        self._attempts = builder.list_attempts(study, trial)
        #: Step → value of the first seed in earlier attempts.
        self._reported = list_reported(self._attempts)
        self._is_over = False
        self._record: Record | None = None
        #: How the seeds have ended that have no result, and what the first one has raised.
        self._ends: list[Outcome] = []
        self._error: BaseException | None = None
        #: The seeds whose jobs have not ended.
        self._open: set[int] = set()

    def run(self, job: PreparedJob) -> Outcome:
        """Run the jobs of all seeds.

        Args:
            job: the prepared job of the trial, with the configured seed.

        Returns:
            The mean of the seeds, or the first outcome that is not a result: one seed that fails, is pruned or is
            interrupted ends the trial.
        """
        self._begin(job)
        self._record = self._start_record(job)
        try:
            outcome = self._run_seeds(job)
        except BaseException as error:
            self.give_up(error)
            raise
        self._close(outcome)
        return outcome

    def list_runs(
        self, job: PreparedJob, end: Callable[[Callable[[], Outcome]], None]
    ) -> dict[str, Callable[[], None]]:
        """Return the jobs of the seeds, to be run together with those of other trials, by their names.

        Args:
            job: the prepared job of the trial, with the configured seed.
            end: called by the last job to end, with a function that returns the outcome of the trial or raises what
                has ended it.
        """
        self._begin(job)
        pending = self._list_pending()
        if not pending:
            return {f"{self._trial.number}": partial(end, partial(self._finish, job))}
        self._open = {seed for _, seed in pending}
        return {
            self._name(seed): partial(self._run_with_others, job, seed, place, partial(end, partial(self._finish, job)))
            for place, seed in pending
        }

    def give_up(self, error: BaseException) -> None:
        """Close the record of the trial, if it is open, because of an error or an interruption."""
        if self._record is not None:
            self._record.give_up("FAILED" if isinstance(error, Exception) else "KILLED")
            self._record = None

    def _begin(self, job: PreparedJob) -> None:
        self._adopt()
        self._trial.set_user_attr(records.SEEDS, list(self._config.seeds))
        self._trial.set_user_attr(records.FOLDER, job.folder)

    def _run_with_others(self, job: PreparedJob, seed: int, place: int, end: Callable[[], None]) -> None:
        """Run the job of one seed, unless another one has ended the trial. The last one to end ends it."""
        interruption: BaseException | None = None
        if not self._is_over:
            try:
                self._record = self._record or self._start_record(job)
                self._take(seed, self._run_seed(job, seed, place, self._record.id or self._config.record_id))
            except BaseException as error:
                self._is_over, self._error = True, self._error or error
                interruption = None if isinstance(error, Exception) else error
        self._open.discard(seed)
        if not self._open:
            end()
        elif interruption is not None:
            raise interruption

    def _finish(self, job: PreparedJob) -> Outcome:
        """Return the outcome of the trial when all of its jobs have ended."""
        if self._error is not None:
            self.give_up(self._error)
            raise self._error
        self._record = self._record or self._start_record(job)
        outcome = self._conclude()
        self._close(outcome)
        return outcome

    def _adopt(self) -> None:
        """Take over the seeds that earlier attempts have finished."""
        seeds = self._config.seeds
        finished: dict[int, SeedJob] = {}
        for attempt in self._attempts:
            for seed, stored in read_seed_jobs(attempt).items():
                if seed in seeds and self._is_result(stored.metrics):
                    finished.setdefault(seed, stored)
        if not finished:
            return
        self._jobs.add(finished)
        self._trial.set_user_attr(records.CONTINUED, len(finished) * len(self._reported))
        if seeds[0] in finished:
            is_pruned = self._config.objective.is_single
            TrialReporter(self._trial, is_pruned=is_pruned, earlier=self._reported).adopt_rest()

    def _start_record(self, job: PreparedJob) -> Record:
        known = (attempt.user_attrs.get(records.RUN) for attempt in self._attempts)
        record = self._config.application.start_trial(
            job,
            self._trial.number,
            self._config.seeds,
            next((each for each in known if isinstance(each, str) and each), None),
        )
        if record.id:
            self._trial.set_user_attr(records.RUN, record.id)
        return record

    def _list_pending(self) -> list[tuple[int, int]]:
        """Return the places of the seeds without a result, with the seeds."""
        return [(place, seed) for place, seed in enumerate(self._config.seeds) if not self._jobs[seed].is_finished]

    def _name(self, seed: int) -> str:
        return f"{self._trial.number} seed {seed}"

    def _run_seeds(self, job: PreparedJob) -> Outcome:
        assert self._record is not None
        record_id = self._record.id or self._config.record_id
        pending = self._list_pending()
        size = self._count_together(job, len(pending))
        for start in range(0, len(pending), size):
            shortage = self._find_shortage() if start else None
            if shortage is not None:
                return Outcome("interrupted", error=shortage)
            batch = pending[start : start + size]
            runs = {self._name(seed): partial(self._run_seed, job, seed, place, record_id) for place, seed in batch}
            outcomes = (
                self._config.application.run_together(runs) if len(runs) > 1 else [run() for run in runs.values()]
            )
            for (_, seed), outcome in zip(batch, outcomes, strict=True):
                self._take(seed, outcome)
            if self._ends:
                break
            gc.collect()  # these networks, before the next ones are built
        return self._conclude()

    def _take(self, seed: int, outcome: Outcome) -> None:
        """Store how the job of a seed has ended."""
        if self._is_finished(outcome):
            self._jobs.finish(seed, outcome, self._wanted)
        else:
            self._ends.append(self._end_early(outcome, seed))

    def _conclude(self) -> Outcome:
        """Return the mean of the seeds, or why there is none."""
        if self._ends:  # what a failed seed has stopped looks pruned
            return min(self._ends, key=lambda each: _SEVERITY.index(each.status))
        return self._summarize()

    def _count_together(self, job: PreparedJob, pending: int) -> int:
        """Return how many seeds are trained at the same time."""
        most = min(self._config.fused, pending)
        return 1 if most < 2 or self._config.application.find_obstacle(job) is not None else most

    def _run_seed(self, job: PreparedJob, seed: int, place: int, record_id: str) -> Outcome:
        """Run the job of one seed, which continues its interrupted attempt."""
        made = self._builder.build_seed(self._trial, job, seed, record_id)
        stored = [(attempt.number, read_seed_jobs(attempt).get(seed, SeedJob())) for attempt in self._attempts]
        attempts = [Attempt(number, each.folder, each.run_id) for number, each in stored if each.folder]
        found = self._builder.find_start(self._trial.number, made, attempts)
        made, steps = found or (made, None)
        reporter = SeedReporter(
            self._trial,
            self._jobs,
            seed,
            place,
            lambda: self._is_over,
            is_pruned=self._config.objective.is_single,
            earlier=self._reported if found and place == 0 else None,
        )
        if steps is not None:
            reporter.adopt(steps)
            self._trial.set_user_attr(records.CONTINUED, place * len(self._reported) + steps)
        elif attempts and not found:
            log.info(f"trial {self._trial.number}, seed {seed}: begins again")
        try:
            outcome = self._run_job(made, reporter)
        except ConstraintViolation:
            raise
        except Exception as error:
            outcome = Outcome("failed", error=describe_error(error))
        else:
            reporter.adopt_rest()
        self._is_over = self._is_over or not self._is_finished(outcome)
        return outcome

    def _is_finished(self, outcome: Outcome) -> bool:
        return outcome.status == "finished" and self._is_result(outcome.metrics)

    @property
    def _wanted(self) -> Sequence[str]:
        return [*self._config.objective.metrics, *self._config.constraints]

    def _is_result(self, metrics: Mapping[str, float]) -> bool:
        """Whether metrics have a value of each objective and constraint."""
        return bool(metrics) and all(not math.isnan(metrics.get(name, math.nan)) for name in self._wanted)

    def _end_early(self, outcome: Outcome, seed: int) -> Outcome:
        """Return the outcome of a trial that one seed has ended."""
        if outcome.status == "failed":
            return Outcome("failed", error=f"seed {seed}: {outcome.error or outcome.status}")
        if outcome.status == "finished" and all(name in outcome.metrics for name in self._wanted):
            undefined = next(name for name in self._wanted if math.isnan(outcome.metrics[name]))
            return Outcome("failed", error=f"seed {seed}: {undefined} is not a number")
        return outcome

    def _summarize(self) -> Outcome:
        jobs = [self._jobs[seed] for seed in self._config.seeds]
        means, spread = average([each.metrics for each in jobs])
        seconds = [each.work_seconds for each in jobs if each.work_seconds is not None]
        note = next((each.note for each in jobs if each.note), None)
        return Outcome("finished", means, note=note, spread=spread, work_seconds=sum(seconds) if seconds else None)

    def _close(self, outcome: Outcome) -> None:
        """Log the mean and the spread of the seeds, and close the record of the trial as that of its job would be."""
        assert self._record is not None
        record, self._record = self._record, None
        jobs = {seed: self._jobs[seed] for seed in self._config.seeds}
        if outcome.status != "finished" or not all(each.is_finished for each in jobs.values()):
            record.end("KILLED" if outcome.status in ("pruned", "interrupted") else "FAILED")
            return
        metrics = self._config.objective.metrics
        rows = [
            *([str(seed), *(f"{each.metrics[name]:.4g}" for name in metrics)] for seed, each in jobs.items()),
            ["mean", *(format_value(outcome.metrics[name], outcome.spread.get(name)) for name in metrics)],
        ]
        record.describe([outcome.note] if outcome.note else [], make_markdown(["seed", *metrics], rows, left=1))
        spread = {f"sd/{name}": value for name, value in outcome.spread.items() if value}
        record.log_metrics({name: value for name, value in outcome.metrics.items() if math.isfinite(value)} | spread)
        record.end("FINISHED")
