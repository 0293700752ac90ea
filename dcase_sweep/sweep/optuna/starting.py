"""The start of a command's search: check what was typed, open the study, and begin or join the search."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from optuna.storages import BaseStorage

from dcase_sweep.sweep.application import Application, Record
from dcase_sweep.sweep.composer import Composer
from dcase_sweep.sweep.job import PreparedJob
from dcase_sweep.sweep.optuna.architecture import count_trials_together
from dcase_sweep.sweep.optuna.inputs import check_study_name
from dcase_sweep.sweep.optuna.joining import find_joined, get_record_id, store_command
from dcase_sweep.sweep.optuna.opening import join_study, open_study
from dcase_sweep.sweep.optuna.rehearsal import make_search_space, rehearse
from dcase_sweep.sweep.optuna.search import Search, make_folder, start_record
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.seeds import list_seeds
from dcase_sweep.sweep.optuna.signature import Objective, Signature, drop_keys, make_signature
from dcase_sweep.sweep.optuna.space import Space
from dcase_sweep.sweep.optuna.storage import claim, open_storage
from dcase_sweep.sweep.shared_files import warn_about_file
from dcase_sweep.utils.time_limit import parse_duration

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.sweeper import OptunaSweeper


@dataclass(frozen=True, slots=True)
class CheckedSearch:
    """A search whose command line and configuration are valid."""

    #: Overrides common to all trials, and the expressions of the varied keys.
    fixed: list[str]
    varied: dict[str, str]
    base: DictConfig
    #: The name of the study.
    name: str
    space: Space
    objective: Objective
    is_grid: bool
    #: The seeds of each trial, if there are several.
    seeds: tuple[int, ...]
    #: Largest number of trials that a worker trains together.
    together: int


def check_search(sweeper: "OptunaSweeper", fixed: list[str], varied: dict[str, str]) -> CheckedSearch:
    """Check the space and an existing storage, and compose the configuration and one trial.

    Args:
        sweeper: the sweeper with its settings.
        fixed: overrides common to all trials.
        varied: key → expression.

    Raises:
        UserError: for anything that is invalid.
    """
    application = sweeper.application
    sweeper.check_early(varied)
    base = sweeper.compose(fixed)
    application.begin(base)
    seeds = list_seeds(sweeper.seeds, base, varied)
    # Of several seeds, the configured one is checked already.
    last = application.check(sweeper.compose([*fixed, f"seed={max(seeds)}"]) if seeds else base)
    name = check_study_name(str(sweeper.study_name or application.name_study(base)))
    space = make_search_space(application, varied, base, sweeper.parser, sweeper.custom_search_space)
    objective = sweeper.choose_objective()
    composer = Composer(sweeper.context, sweeper.composed, [*sweeper.chosen, *fixed])
    is_grid = rehearse(space, sweeper.sampler, sweeper.pruner, lambda more: sweeper.check_trial(composer.compose(more)))
    together = count_trials_together(
        application, space, PreparedJob(base, last), seeds=max(1, len(seeds)), fused=sweeper.fused
    )
    return CheckedSearch(fixed, varied, base, name, space, objective, is_grid, seeds, together)


def open_location(sweeper: "OptunaSweeper", checked: CheckedSearch) -> tuple[BaseStorage, str]:
    """Return the storage of the search, and where it is.

    Raises:
        UserError: if it cannot be opened.
    """
    where = str(sweeper.storage or sweeper.application.locate_storage(checked.base))
    if "://" not in where or where.startswith("sqlite"):
        warn_about_file(sweeper.composed, "hydra.sweeper.storage", where, "a server: postgresql://USER@HOST/DATABASE")
    return open_storage(where), where if "://" in where else os.path.abspath(where)


def sign(sweeper: "OptunaSweeper", checked: CheckedSearch) -> Signature:
    """Return what must not change when the study is continued."""
    application, base = sweeper.application, checked.base
    return make_signature(
        drop_keys(application.describe(base), sweeper.may_differ),
        checked.space.describe(),
        checked.objective,
        {**sweeper.constraints, **application.limits},
        application.hash_sources(
            base, checked.varied, sweeper.parser, lambda more: sweeper.compose([*checked.fixed, *more])
        ),
        sweeper.seeds,
    )


def start_search(
    sweeper: "OptunaSweeper",
    checked: CheckedSearch,
    storage: BaseStorage,
    where: str,
    signature: Signature,
    arguments: Sequence[str],
) -> Search:
    """Create or continue the study, or join the search of another command.

    Args:
        sweeper: the sweeper with its settings.
        checked: what it was asked for.
        storage: the storage of the study.
        where: its location.
        signature: what must not have changed.
        arguments: overrides on the command line.

    Raises:
        UserError: if the study is another one, or does not exist where it is to be joined.
    """
    application, composed = sweeper.application, sweeper.composed
    joined = find_joined()
    if joined is not None:
        study = join_study(storage, joined.study, checked.objective, signature, rename=application.rename_stored)
        folder = make_folder(application, composed, study.study_name)
        record, record_id = Record(), application.find_record(get_record_id(study))
    else:
        with claim(storage):
            study = open_study(
                storage,
                checked.name,
                checked.objective,
                signature,
                fresh=sweeper.fresh,
                rename=application.rename_stored,
            )
            kept = {"n_trials": sweeper.n_trials, "grace_period": sweeper.grace_period}
            store_command(study, composed, _name_class(application), kept)
            folder = make_folder(application, composed, study.study_name)
            record = start_record(application, study, arguments)
        record_id = record.id
    return Search(
        study,
        _make_config(sweeper, checked, where, study.study_name, record_id),
        record,
        folder,
        checked.base,
        composed,
        sweeper.context,
        sweeper.task,
        sweeper.workers,
        joined,
    )


def _make_config(
    sweeper: "OptunaSweeper", checked: CheckedSearch, where: str, study: str, record_id: str
) -> SearchConfig:
    """Return the settings that all workers share."""
    return SearchConfig(
        application=sweeper.application,
        storage=where,
        study=study,
        space=checked.space,
        objective=checked.objective,
        fixed=(*sweeper.chosen, *checked.fixed),
        n_trials=sweeper.n_trials,
        max_failed=sweeper.max_failed,
        sampler=sweeper.sampler,
        pruner=sweeper.pruner,
        constraints=sweeper.constraints,
        record_id=record_id,
        is_grid=checked.is_grid,
        max_retries=sweeper.max_retries,
        grace_period=sweeper.grace_period,
        time_limit=None if sweeper.time_limit is None else parse_duration(sweeper.time_limit),
        sampler_history=sweeper.sampler_history,
        seeds=checked.seeds,
        fused=sweeper.fused,
        together=checked.together,
    )


def _name_class(application: Application) -> str:
    """Return the full name of the class of an application."""
    return f"{type(application).__module__}.{type(application).__qualname__}"
