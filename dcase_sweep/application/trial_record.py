"""The MLflow run of a trial with several seeds, the parent of their runs."""

from collections.abc import Sequence
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.application.record import RunRecord
from dcase_sweep.config.choices import read_choices
from dcase_sweep.runner.records import list_parameters
from dcase_sweep.sweep.job import PreparedJob


def start_trial_record(job: PreparedJob, number: int, seeds: Sequence[int], known_id: str | None) -> RunRecord:
    """Start the run of a trial with several seeds, with the parameters of their runs, or continue the one with this ID.

    Args:
        job: the prepared job of the trial.
        number: number of the trial.
        seeds: its seeds.
        known_id: ID of the run of its interrupted attempt.
    """
    settings = job.content.tracking
    hydra = job.config.hydra
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    shown = ", ".join(map(str, seeds))
    run = tracking.start_run(
        settings,
        name=settings.run_name,
        tags={tracking.TRIAL: str(number), tracking.SEEDS: shown},
        resume_id=known_id,
        code=Path.cwd(),
        folder=folder,
    )
    choices = read_choices(hydra.runtime.choices, job.config)
    run.log_parameters(list_parameters(job.content, choices) | {"seed": shown})
    return RunRecord(run, is_sweep=False)
