"""A run callback that reports epochs to the search."""

from collections.abc import Mapping, Sequence

from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.reporting import TrialPruned
from dcase_sweep.training.callbacks import StopTraining


class TrialCallback:
    """Reports the epochs of a run to the pruner of its search.

    A trial is not pruned after its last epoch, because that would save nothing and lose its result.

    Args:
        reporter: the reporter of the trial.
        metric: the metric of an epoch by which trials are pruned; None = no pruning.
        epochs: number of epochs of the run.
        objective: the metrics of a finished run that the search optimizes.
    """

    def __init__(
        self, reporter: TrialReporter, metric: str | None, *, epochs: int, objective: Sequence[str] = ()
    ) -> None:
        self.reporter = reporter
        self.metric = metric
        self.epochs = epochs
        self.objective = tuple(objective)

    def on_start(self, run_id: str) -> None:
        """Store the ID of the MLflow run, which is closed if this process is killed.

        Raises:
            StopTraining: if the trial was taken over by another command.
        """
        try:
            self.reporter.set_job_id(run_id)
        except TrialPruned as pruned:
            raise StopTraining(str(pruned)) from None

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report the epoch.

        Raises:
            StopTraining: if the trial is pruned, or was taken over by another command.
        """
        self.reporter.mark_step()
        if self.metric is None or self.metric not in metrics:
            return
        try:
            self.reporter.keep(metrics[self.metric], epoch)
        except TrialPruned as pruned:
            raise StopTraining(str(pruned)) from None
        if epoch + 1 < self.epochs and self.reporter.should_prune():
            raise StopTraining(f"pruned after epoch {epoch + 1}")

    def draws_figures(self, metrics: Mapping[str, float]) -> bool:
        """Whether no finished trial has the same or better objectives, so that the best trials have their figures."""
        values = [metrics[name] for name in self.objective if name in metrics]
        return len(values) < len(self.objective) or self.reporter.is_best(values)
