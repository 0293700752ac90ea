"""Intermediate values of a trial, which are stored in the study and evaluated by its pruner."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.trial import Trial

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.reporting import TrialPruned


class TrialReporter:
    """Receives the reports of one trial.

    Args:
        trial: the trial.
        is_pruned: whether reports are passed to the pruner; not possible for several objectives.
        earlier: step → value from earlier attempts of the trial. Values before the first reported step of this attempt
            are adopted.

    Attributes:
        longest_step: the longest time between two steps in seconds, the first one from the start of the job.
    """

    def __init__(self, trial: Trial, *, is_pruned: bool = True, earlier: Mapping[int, float] | None = None) -> None:
        self.trial = trial
        self.is_pruned = is_pruned
        self.longest_step = 0.0
        self._earlier: dict[int, float] = dict(earlier or {})
        self._marked = time.perf_counter()

    def begin(self) -> None:
        """Note that the job begins."""
        self._marked = time.perf_counter()

    def mark_step(self) -> None:
        """Note that a step is over."""
        now = time.perf_counter()
        self.longest_step, self._marked = max(self.longest_step, now - self._marked), now

    def report(self, value: float, step: int) -> None:
        """Store a value.

        Raises:
            TrialPruned: if the pruner stops the trial.
        """
        self.mark_step()
        self.keep(value, step)
        if self.should_prune():
            raise TrialPruned(f"pruned after step {step}")

    def keep(self, value: float, step: int) -> None:
        """Store a value without asking the pruner.

        Raises:
            TrialPruned: if another command has closed the trial because this process sent no heartbeat for minutes.
        """
        if not self.is_pruned:
            return  # Optuna does not store intermediate values of several objectives
        with until_taken_over():
            self.adopt(step)
            self.trial.report(value, step)

    def adopt(self, steps: int) -> None:
        """Adopt the values that earlier attempts reported for the first ``steps`` steps."""
        for step, value in sorted(self._earlier.items()):
            if step < steps:
                self.trial.report(value, step)
        self._earlier = {}

    def adopt_rest(self) -> None:
        """Adopt all values of earlier attempts, after whose last step this attempt had nothing left to report."""
        self.adopt(sys.maxsize)

    def should_prune(self) -> bool:
        """Whether the pruner stops the trial now."""
        return self.is_pruned and self.trial.should_prune()

    def is_best(self, values: Sequence[float]) -> bool:
        """Whether no finished trial that violates no constraint is as good in every objective as these values.

        Args:
            values: the objectives of this trial.
        """
        study = self.trial.study
        signs = [1 if direction == optuna.study.StudyDirection.MAXIMIZE else -1 for direction in study.directions]
        own = [sign * value for sign, value in zip(signs, values, strict=True)]
        return not any(
            trial.values is not None
            and all(sign * value >= mine for sign, value, mine in zip(signs, trial.values, own, strict=True))
            and records.is_feasible(trial)
            for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        )

    def set_folder(self, folder: str) -> None:
        """Store the folder of the job, where a retry looks for its checkpoint.

        Raises:
            TrialPruned: if another command has closed the trial.
        """
        with until_taken_over():
            self.trial.set_user_attr(records.FOLDER, folder)

    def set_job_id(self, job_id: str) -> None:
        """Store the ID of the job's record, so that it can be closed if this process is killed.

        Raises:
            TrialPruned: if another command has closed the trial.
        """
        with until_taken_over():
            self.trial.set_user_attr(records.RUN, job_id)


@contextmanager
def until_taken_over() -> Iterator[None]:
    """Context in which a trial is changed. If another command has closed it, its job ends as if it were pruned.

    Raises:
        TrialPruned: if another command has closed the trial because this process sent no heartbeat for minutes.
    """
    try:
        yield
    except optuna.exceptions.UpdateFinishedTrialError:
        raise TrialPruned("taken over by another command") from None
