"""Search for finished runs of experiments."""

import json
from collections.abc import Sequence

from dcase_sweep import tracking
from dcase_sweep.application.outcomes import make_outcome
from dcase_sweep.config import Experiment, flatten, plain
from dcase_sweep.sweep.outcomes import Outcome
from dcase_sweep.tasks.columns import list_columns
from dcase_sweep.tracking.provenance import signature
from dcase_sweep.utils.errors import UserError


def find_finished(base: Experiment, experiments: Sequence[Experiment]) -> list[tuple[str, Outcome] | None]:
    """Return the name and the outcome of the finished run of each experiment, or None where there is none.

    Args:
        base: the experiment with the settings of the tracking common to all.
        experiments: the experiments to look for.

    Raises:
        UserError: if runs are not recorded in MLflow.
    """
    if not tracking.logs_to_mlflow(base.logger):
        raise UserError(
            "hydra.sweeper.skip_finished=true: finished runs are only found in MLflow; expected "
            "logger=mlflow or logger=[mlflow,...]"
        )
    tracking.close_dead_runs(tracking.open_store(base.tracking))
    finder = Finder()
    return [_describe(experiment, finder.find(experiment)) for experiment in experiments]


def _describe(experiment: Experiment, found: tracking.FinishedRun | None) -> tuple[str, Outcome] | None:
    if found is None:
        return None
    folder = None if found.artifacts is None else str(found.artifacts)
    outcome = make_outcome(found.metrics, found.note, found.seconds, list_columns(experiment, found.metrics), folder)
    return f"{found.name} · {found.id}", outcome


class Finder:
    """Finds the finished run of an experiment with the same configuration, data and code.

    The fingerprint of the data needs their features, which the run would need too. It is computed once for all jobs
    with the same data.
    """

    def __init__(self) -> None:
        self._fingerprints: dict[str, str] = {}

    def find(self, experiment: Experiment) -> tracking.FinishedRun | None:
        """Return the newest such run, or None."""
        return tracking.find_finished(
            experiment.tracking, signature(flatten(experiment), self._fingerprint(experiment))
        )

    def _fingerprint(self, experiment: Experiment) -> str:
        from dcase_sweep.tasks.features import compute_fingerprint, load_features

        task = experiment.task
        features = [plain(experiment.data), plain(experiment.front_end), task._target_, task.sample_rate]
        key = json.dumps(features, default=str)
        if key not in self._fingerprints:
            self._fingerprints[key] = compute_fingerprint(*load_features(experiment))
        return self._fingerprints[key]
