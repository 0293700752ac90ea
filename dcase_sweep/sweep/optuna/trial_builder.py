"""From what a sampler suggests to an experiment that may run: composed, checked and within the limits."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import optuna
from omegaconf import DictConfig, open_dict
from optuna.trial import Trial

from dcase_sweep.complexity.capacity import check_capacity
from dcase_sweep.config import Experiment, check
from dcase_sweep.config.overrides import escape_interpolation, quote
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.history import History
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.trial_compose import Composer
from dcase_sweep.utils.errors import UserError

log = logging.getLogger(__name__)


class ConstraintViolation(Exception):
    """A trial that breaks a hard limit, or cannot be built; it is not trained.

    Args:
        reason: in words.
        violations: by how much each limit is exceeded; more than 0 is not allowed.
    """

    def __init__(self, reason: str, violations: Mapping[str, float]) -> None:
        super().__init__(reason)
        self.violations = violations


class TrialBuilder:
    """Makes experiments of trials, without training anything.

    Args:
        search_config: the search.
        composer: of its configurations.
        threads: of each network's operators; None = as configured.
        history: what the study has tried.
    """

    def __init__(self, search_config: SearchConfig, composer: Composer, threads: int | None, history: History) -> None:
        self.search_config = search_config
        self.composer = composer
        self.threads = threads
        self.history = history

    def prepare(self, study: optuna.Study, trial: Trial) -> tuple[DictConfig, Experiment]:
        """The trial's configuration and its values; from where its earlier try ended, if that was interrupted.

        Raises:
            ConstraintViolation: it cannot be built, or breaks a limit.
            Repeated: the outcome of its configuration is known, or it is being trained.
        """
        overrides = self.search_config.space.suggest(trial)
        self.history.admit(study, trial, overrides)
        config, experiment = self._compose(trial, overrides)
        self._check_limits(trial, experiment)
        if records.RETRY_OF in trial.user_attrs:
            experiment = self._continued(study, trial, config, experiment)
        return config, experiment

    def _compose(self, trial: Trial, overrides: list[str]) -> tuple[DictConfig, Experiment]:
        lines = list(overrides)
        if self.threads is not None:
            trial.set_user_attr(records.THREADS, self.threads)
            lines.append(f"++hardware.threads={self.threads}")
        run_name = f"{self.search_config.study} #{trial.number}"
        lines += [f"++tracking.parent={self.search_config.parent}", f"++tracking.run_name={quote(run_name)}"]
        config = self.composer.compose(lines)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = trial.number
            config.hydra.job_logging.root.handlers = ["file"]
        try:
            experiment = check(config)
            check_capacity(experiment)
        except UserError as error:
            raise ConstraintViolation(str(error), {"configuration": 1.0}) from None
        return config, experiment

    def _continued(self, study: optuna.Study, trial: Trial, config: DictConfig, experiment: Experiment) -> Experiment:
        """The experiment from the last epoch of the try that was interrupted, where that has left one.

        The epochs that are done are this trial's too: its pruner and its figures know them.
        """
        from dcase_sweep.training.resume import find_resumable

        trials = study.get_trials(deepcopy=False)
        earlier = records.tries(trials, trials[trial.number])[1:]
        for one in earlier:
            folder = one.user_attrs.get(records.FOLDER)
            if folder is None:
                continue
            attempt = replace(experiment, resume=folder)
            try:
                found = find_resumable(attempt)
            except UserError as error:
                log.info(f"trial {trial.number} does not continue trial {one.number}: {error}")
                continue
            assert found is not None
            # A try that was interrupted early knows its first epochs from the one before.
            reported = {step: value for each in reversed(earlier) for step, value in each.intermediate_values.items()}
            for epoch, value in sorted(reported.items()):
                if epoch < found.epochs:
                    trial.report(value, epoch)
            trial.set_user_attr(records.CONTINUED, found.epochs)
            config.resume = escape_interpolation(folder)
            return attempt
        return experiment

    def _check_limits(self, trial: Trial, experiment: Experiment) -> None:
        if not self.search_config.limits:
            return
        from dcase_sweep.sweep.optuna.limits import measure

        found = measure(experiment, self.search_config.classes, self.search_config.limits)
        for name, value in found.items():
            trial.set_user_attr(name, value)
        # Relative, so that kilobytes and millions of products weigh alike.
        violations = {name: found[name] / limit - 1 for name, limit in self.search_config.limits.items()}
        broken = {
            name: f"{found[name]:.5g} > {self.search_config.limits[name]:.5g}" for name in found if violations[name] > 0
        }
        if broken:
            raise ConstraintViolation("; ".join(f"{name} {what}" for name, what in broken.items()), violations)
        for name, violation in violations.items():
            trial.set_constraint(name, violation)
