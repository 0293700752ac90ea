"""The training of one run, with its progress and the metrics of its epochs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.config import Experiment, flatten
from dcase_sweep.evaluation.result import Figures
from dcase_sweep.evaluation.training_figure import training_figure
from dcase_sweep.runner.epoch_time import SPEED, EpochTime
from dcase_sweep.runner.job import Job
from dcase_sweep.tasks.protocols import Learner
from dcase_sweep.training.callbacks import RunCallback
from dcase_sweep.training.checkpoints import FOLDER, LAST
from dcase_sweep.training.device import resolve_precision
from dcase_sweep.training.resume import Resumable
from dcase_sweep.utils import console
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.time_limit import TimeLimit

#: The file of the learning curves.
TRAINING_FIGURE = "training.png"


@dataclass(frozen=True, slots=True)
class Trained:
    """The metrics of a training as a whole, and its learning curves."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)


def train(
    mlrun: tracking.AnyRun,
    learner: Learner,
    experiment: Experiment,
    job: Job,
    resumable: Resumable | None,
    callback: RunCallback | None,
    classes: Sequence[str],
    *,
    signature: str,
    limit: TimeLimit,
    began: float,
) -> Trained:
    """Train with a progress bar over epochs, and log the metrics of each epoch.

    Args:
        mlrun: the run that records the metrics.
        learner: the learner of the experiment.
        experiment: the validated experiment.
        job: the job with the folder for checkpoints.
        resumable: the interrupted training to continue; None = a new one.
        callback: called after every epoch; may stop the training.
        classes: the class labels, which are stored in checkpoints.
        signature: the key of the configuration, the data and the code, which is stored in checkpoints.
        limit: the end of the available time.
        began: when the run began, by ``time.perf_counter``.

    Raises:
        OutOfTime: if the remaining time does not hold the next epoch.
    """
    if experiment.published_checkpoint is not None:
        console.field("training", f"none: the weights of {experiment.published_checkpoint}")
        return Trained()
    training_began = time.perf_counter()
    times = EpochTime(limit, learner.clips_per_epoch, began)
    if resumable and resumable.epochs < experiment.training.epochs:
        times.check_first(resumable.history)
    last = job.folder / FOLDER / LAST if experiment.tracking.last_checkpoint else None
    for epoch, earlier in resumable.metrics_by_epoch().items() if resumable else ():
        mlrun.log_metrics(earlier, step=epoch)  # those that were not written earlier
    with console.progress("training", experiment.training.epochs) as bar:
        epochs = _Epochs(mlrun, learner, bar, resumable, callback, times, last)
        fitted = learner.fit(
            job.folder / FOLDER,
            # Metrics are buffered for some seconds. Write them before the checkpoint, so that a kill does not lose
            # them.
            extra={
                "run_id": mlrun.id,
                "configuration": mask_values(flatten(experiment)),
                "choices": job.choices,
                "classes": [str(label) for label in classes],
                "signature": signature,
                "precision": resolve_precision(experiment.hardware),
                "history": epochs.history,
            },
            on_epoch=epochs.on_epoch,
            on_batch=epochs.on_batch,
            resume=resumable.checkpoint if resumable else None,
        )
    seconds = time.perf_counter() - training_began
    mlrun.log_file(fitted.checkpoint, FOLDER)
    kept = f"epoch {fitted.best_epoch + 1} kept ({fitted.metric} {fitted.best_value:.3f})"
    console.field("training", f"{console.pluralize(fitted.epochs, 'epoch')} in {seconds:.1f} s, {kept}")
    metrics = {
        "best/epoch": float(fitted.best_epoch + 1),  # counted from 1, as the line above
        f"best/{fitted.metric}": fitted.best_value,
        "time/training_seconds": seconds,
    }
    drawing = partial(training_figure, epochs.history, monitor=fitted.metric, best_epoch=fitted.best_epoch)
    return Trained(metrics, Figures({TRAINING_FIGURE: drawing}))


class _Epochs:
    """Shows the progress of a training, and logs the metrics of its epochs.

    Args:
        mlrun: the run that records the metrics.
        learner: the learner of the experiment.
        bar: shows the progress.
        resumable: the interrupted training that is continued.
        callback: called after every epoch.
        times: measures the epochs.
        last: the checkpoint to log after each epoch; None = it is not logged.

    Attributes:
        history: metric → epoch → value, including the epochs before the training was resumed.
    """

    def __init__(
        self,
        mlrun: tracking.AnyRun,
        learner: Learner,
        bar: console.Progress,
        resumable: Resumable | None,
        callback: RunCallback | None,
        times: EpochTime,
        last: Path | None,
    ) -> None:
        self.history = resumable.history if resumable else {}
        self._mlrun = mlrun
        self._learner = learner
        self._clips = learner.clips_per_epoch
        self._bar = bar
        self._callback = callback
        self._times = times
        self._last = last
        self._done = float(resumable.epochs if resumable else 0)
        self._text = ""

    def on_batch(self, count: int) -> None:
        """Advance the progress bar by this number of clips. The checkpoint of the epoch before is complete now.

        Raises:
            OutOfTime: if the remaining time does not hold another epoch.
        """
        if self._times.is_between and self._last is not None:
            self._mlrun.log_file(self._last, FOLDER)
        self._times.begin_epoch()
        self._done += count / self._clips
        self._bar.update(self._done, text=self._text)
        self._mlrun.beat()

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Log the metrics of an epoch and the speed of its training."""
        logged = {**metrics, SPEED: self._times.end_epoch()}
        self._mlrun.log_metrics(logged, step=epoch)
        for name, value in logged.items():
            self.history.setdefault(name, {})[epoch] = value
        self._done = epoch + 1.0
        self._text = self._learner.headline(metrics)
        self._bar.update(self._done, text=self._text)
        if self._callback is not None:
            self._callback.on_epoch(epoch, metrics)
