"""Search for finished runs of experiments."""

import json

from dcase_sweep import tracking
from dcase_sweep.config import Experiment, flatten, plain
from dcase_sweep.tracking.provenance import signature


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
