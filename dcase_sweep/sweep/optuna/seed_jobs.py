"""What a study stores of the jobs of a trial with several seeds, so that a retry trains no finished seed again."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from optuna.trial import FrozenTrial, Trial

from dcase_sweep.sweep.optuna.attributes import SEED_JOBS
from dcase_sweep.sweep.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class SeedJob:
    """The job of one seed.

    Attributes:
        folder: its folder; empty if it has not begun.
        run_id: ID of its record; empty if it has none.
        metrics: its metrics; none until it has finished.
        note: a note on them.
        work_seconds: wall-clock time of its training and evaluation.
    """

    folder: str = ""
    run_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None
    work_seconds: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether its metrics are known."""
        return bool(self.metrics)


class SeedJobs:
    """The jobs of a running trial by their seeds, each change of which is stored with the trial."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._jobs: dict[int, SeedJob] = {}

    def __getitem__(self, seed: int) -> SeedJob:
        return self._jobs.get(seed, SeedJob())

    def update(self, seed: int, **changes: Any) -> None:
        """Change some attributes of a seed's job."""
        self.add({seed: replace(self[seed], **changes)})

    def finish(self, seed: int, outcome: Outcome, wanted: Iterable[str]) -> None:
        """Store the results of a seed.

        Args:
            seed: the seed.
            outcome: the outcome of its job.
            wanted: metrics that are stored in addition to those that the application keeps.
        """
        kept = dict(outcome.metrics if outcome.kept is None else outcome.kept)
        kept |= {name: outcome.metrics[name] for name in wanted}
        self.update(seed, metrics=kept, note=outcome.note, work_seconds=outcome.work_seconds)

    def add(self, jobs: Mapping[int, SeedJob]) -> None:
        """Store several jobs."""
        self._jobs |= jobs
        self._trial.set_user_attr(SEED_JOBS, {str(seed): asdict(job) for seed, job in self._jobs.items()})


def read_seed_jobs(trial: FrozenTrial) -> dict[int, SeedJob]:
    """Read the jobs of a trial by their seeds. What has another type than a search writes is left out."""
    found = trial.user_attrs.get(SEED_JOBS)
    if not isinstance(found, dict):
        return {}
    return {
        int(seed): _read(stored)
        for seed, stored in found.items()
        if isinstance(seed, str) and seed.isascii() and seed.isdecimal() and isinstance(stored, dict)
    }


def _read(stored: Mapping[str, Any]) -> SeedJob:
    folder, run_id, metrics, note, seconds = (
        stored.get(name) for name in ("folder", "run_id", "metrics", "note", "work_seconds")
    )
    values = metrics.values() if isinstance(metrics, dict) else ()
    is_valid = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return SeedJob(
        folder if isinstance(folder, str) else "",
        run_id if isinstance(run_id, str) else "",
        {str(name): float(value) for name, value in metrics.items()} if isinstance(metrics, dict) and is_valid else {},
        note if isinstance(note, str) else None,
        float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else None,
    )
