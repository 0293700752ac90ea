"""Intermediate values of a trial that is trained with several seeds."""

from collections.abc import Callable, Mapping, Sequence

from optuna.trial import Trial

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.reporter import TrialReporter, until_taken_over
from dcase_sweep.sweep.optuna.seed_jobs import SeedJobs


class SeedReporter(TrialReporter):
    """Receives the reports of the job of one seed. Those of the first seed reach the pruner.

    Args:
        trial: the trial.
        jobs: the jobs of the trial.
        seed: the seed.
        place: its place among the seeds of the trial, from 0.
        is_over: whether another seed has ended the trial, by now.
        is_pruned: whether the trial may be pruned.
        earlier: step → value of earlier attempts.
    """

    def __init__(
        self,
        trial: Trial,
        jobs: SeedJobs,
        seed: int,
        place: int,
        is_over: Callable[[], bool] = lambda: False,
        *,
        is_pruned: bool = True,
        earlier: Mapping[int, float] | None = None,
    ) -> None:
        super().__init__(trial, is_pruned=is_pruned and place == 0, earlier=earlier)
        self._is_over = is_over
        self._jobs = jobs
        self._seed = seed
        self._place = place

    def keep(self, value: float, step: int) -> None:
        """Store a value of the first seed, or the progress of a later one.

        Raises:
            TrialPruned: if another command has closed the trial.
        """
        if self._place == 0:
            super().keep(value, step)
            return
        with until_taken_over():
            self.trial.set_user_attr(records.SEED_STEP, [self._place + 1, step + 1])

    def is_best(self, values: Sequence[float]) -> bool:
        """Whether the trial may be the best: yes, because the mean over the seeds is not known yet."""
        return True

    def should_prune(self) -> bool:
        """Whether the pruner stops the trial now, or another seed that is trained at the same time has ended it."""
        return super().should_prune() or self._is_over()

    def set_folder(self, folder: str) -> None:
        """Store the folder of the seed's job; the trial has one of its own."""
        with until_taken_over():
            self._jobs.update(self._seed, folder=folder)

    def set_job_id(self, job_id: str) -> None:
        """Store the ID of the record of the seed's job."""
        with until_taken_over():
            self._jobs.update(self._seed, run_id=job_id)
