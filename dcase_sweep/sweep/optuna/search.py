"""One command's part of a search: its folder, its record, its workers and the report at the end."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.application import Application, Record
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.joining import Joined
from dcase_sweep.sweep.optuna.report import report
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.summary import describe_end, introduce
from dcase_sweep.sweep.optuna.worker_pool import WorkerPool
from dcase_sweep.sweep.stored_jobs import protect_stored_jobs
from dcase_sweep.utils.overrides import escape_interpolation
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.signals import Interrupted

log = logging.getLogger(__name__)


def make_folder(application: Application, composed: DictConfig, study: str) -> Path:
    """Create the folder of the sweep and save the initial configuration, with the name of the study."""
    folder = Path(composed.hydra.sweep.dir)
    application.check_folder("hydra.sweep.dir", folder)
    folder.mkdir(parents=True, exist_ok=True)
    shown = mask_values(OmegaConf.to_container(composed, resolve=False))
    shown["hydra"]["sweeper"]["study_name"] = escape_interpolation(study)
    (folder / "multirun.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(shown)), encoding="utf-8")
    return folder


def start_record(application: Application, study: optuna.Study, arguments: Sequence[str]) -> Record:
    """Start or continue the record of the study. A lost record is replaced."""
    known = study.user_attrs.get(records.RECORD)
    record = application.start_record(
        study.study_name, arguments, study=study.study_name, known_id=known if isinstance(known, str) else None
    )
    if record.id != known:
        study.set_user_attr(records.RECORD, record.id)
    return record


@dataclass(frozen=True, slots=True)
class Search:
    """An open study and what its trials need.

    Args:
        study: the study.
        config: the settings of the search.
        record: the record of the search.
        folder: the folder of the sweep.
        base: the configuration common to all trials.
        composed: the composed sweep.
        context: Hydra's context, to compose trials.
        task: Hydra's task function.
        workers: number of parallel workers.
        joined: the search, if it is another command's and this one only works on it.
    """

    study: optuna.Study
    config: SearchConfig
    record: Record
    folder: Path
    base: DictConfig
    composed: DictConfig
    context: HydraContext
    task: TaskFunction
    workers: int
    joined: Joined | None = None

    def run(self, arguments: Sequence[str]) -> None:
        """Recover the trials of earlier commands, and keep workers running until the end."""
        try:
            worker_pool = WorkerPool(
                self.config,
                self.study,
                self.base,
                self.context,
                self.composed,
                self.task,
                self.workers,
                self.folder,
            )
            worker_pool.recover_now()
            if self.joined is None:
                worker_pool.retry_failed()
            introduce(self.study, self.config, self.workers, self.folder)
            protect_stored_jobs(self.composed, self.folder)
            worker_pool.work()
        except BaseException as error:
            self.record.give_up("KILLED" if isinstance(error, Interrupted) else "FAILED")
            joined = self.joined
            command = (
                joined.command if joined else self.config.application.describe_continuation(self.composed, arguments)
            )
            log.info(f"interrupted; the same command continues: {command}")
            raise

    def conclude(self) -> str | None:
        """Write and print the results; return a description of what went wrong, if anything did."""
        trials = self.study.get_trials(deepcopy=False)
        failed = [trial for trial in trials if records.kind(trial) == "failed"]
        line, fault = describe_end(self.study, self.config)
        if self.joined is None:
            is_drawn = self.config.application.draws_figures(self.base)
            report(self.study, self.config, self.record, self.folder, self.composed, is_drawn=is_drawn)
        self.record.end("FAILED" if fault else "FINISHED")
        if line:
            log.info(f"search    {line}")
        if self.joined is not None:
            log.info("results   are written by the command that began the search; if it has ended, they are written by")
            log.info(f"          {self.joined.report}")
            return fault
        for trial in failed:
            log.info(f"failed    trial {trial.number}: {trial.user_attrs.get(records.ERROR)}")
        if self.record.command:
            log.info(f"compare   {self.record.command}")
        if self.record.link:
            log.info(f"page      {self.record.link}")
        return fault
