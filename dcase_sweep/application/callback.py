"""A trial of a search as a callback of the run that it is."""

from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.reporting import TrialPruned
from dcase_sweep.training.callbacks import StopTraining


class TrialCallback:
    """Hands the epochs of a run to the pruner of its search.

    A trial is not pruned after its last epoch: nothing would be saved, and its result lost.

    Args:
        reporter: of the trial.
        metric: of an epoch, by which trials are pruned; None = they are not.
        epochs: of the run.
    """

    def __init__(self, reporter: TrialReporter, metric: str | None, *, epochs: int) -> None:
        self.reporter = reporter
        self.metric = metric
        self.epochs = epochs

    def on_start(self, run_id: str) -> None:
        """Remember the MLflow run, which is ended if this process is killed."""
        self.reporter.set_job_id(run_id)

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report the epoch.

        Raises:
            StopTraining: if the trial is pruned, or was taken over by another command.
        """
        if self.metric is None or self.metric not in metrics:
            return
        try:
            self.reporter.keep(metrics[self.metric], epoch)
        except TrialPruned as pruned:
            raise StopTraining(str(pruned)) from None
        if epoch + 1 < self.epochs and self.reporter.should_prune():
            raise StopTraining(f"pruned after epoch {epoch + 1}")
