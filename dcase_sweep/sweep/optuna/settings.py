"""Samplers, pruners and studies from their configurations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import optuna

from dcase_sweep.sweep.optuna.bounded import bound
from dcase_sweep.sweep.optuna.opening import claim_worker_number
from dcase_sweep.sweep.optuna.storage import open_storage
from dcase_sweep.sweep.optuna.tpe import remember
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.sweep.optuna.search_config import SearchConfig


def silence_optuna() -> None:
    """Silence Optuna's output: the search prints every trial itself."""
    import warnings

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def make(group: str, configuration: Mapping[str, Any], **given: Any) -> Any:
    """Instantiate the sampler or pruner that a configuration describes, including nested ones.

    Raises:
        UserError: for invalid arguments.
    """
    from hydra.errors import HydraException
    from hydra.utils import instantiate

    expected: type = optuna.samplers.BaseSampler if group == "sampler" else optuna.pruners.BasePruner
    wanted = f"expected a class of optuna.{group}s by its _target_, or hydra/sweeper/{group}=NAME"
    if not isinstance(configuration, Mapping) or not isinstance(configuration.get("_target_"), str):
        raise UserError(f"hydra.sweeper.{group}={printable(configuration)}: {wanted}")
    try:
        made = instantiate({**configuration, **given}, _convert_="all")
    except HydraException as error:
        cause = error.__cause__ or error
        raise UserError(f"hydra.sweeper.{group}: {printable(str(cause).splitlines()[0])}") from None
    if not isinstance(made, expected):
        raise UserError(f"hydra.sweeper.{group}._target_={printable(configuration['_target_'])}: {wanted}")
    return made


def make_sampler(configuration: Mapping[str, Any], *, worker: int, trials: int) -> optuna.samplers.BaseSampler:
    """Create the sampler of a worker.

    The worker's number and the number of existing trials are added to the seed, so that two workers, or a continued
    search, do not draw the same values.
    """
    if not isinstance(configuration, Mapping) or configuration.get("seed") is None:
        return make("sampler", configuration)
    try:
        given = int(configuration["seed"])
    except (TypeError, ValueError):
        found = printable(configuration["seed"])
        raise UserError(f"hydra.sweeper.sampler.seed={found}: expected a whole number or null") from None
    seed = (given + 1_000_003 * worker + 7919 * trials) % 2**32
    return make("sampler", configuration, seed=seed)


def load_study(search_config: "SearchConfig") -> tuple[optuna.Study, int]:
    """Load the study of a search with a sampler and a pruner of its own, for one worker.

    Returns:
        the study, and the number of the worker, which no other worker of the study has on any machine.
    """
    silence_optuna()
    storage = open_storage(search_config.storage, is_known=True)
    shared = optuna.load_study(study_name=search_config.study, storage=storage)
    worker = claim_worker_number(shared)
    trials = len(shared.get_trials(deepcopy=False))
    sampler = make_sampler(search_config.sampler, worker=worker, trials=trials)
    if is_grid(sampler):
        # It only looks whether the last combination was tried, and fails for a trial with a combination of our choice.
        setattr(sampler, "after_trial", lambda *_: None)  # noqa: B010
    study = optuna.load_study(
        study_name=search_config.study,
        storage=storage,
        sampler=bound(remember(sampler), search_config.sampler_history),
        pruner=make("pruner", search_config.pruner),
    )
    # Samplers may stop the study, which Optuna allows only within its own loop. The worker itself determines when
    # nothing is left.
    setattr(study, "stop", lambda: None)  # noqa: B010
    return study, worker


def is_grid(sampler: optuna.samplers.BaseSampler) -> bool:
    """Whether a sampler tries all combinations once."""
    return isinstance(sampler, (optuna.samplers.BruteForceSampler, optuna.samplers.GridSampler))
