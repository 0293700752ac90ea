"""A study in a shared storage: its creation, and its continuation by the same search."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage

from dcase_sweep.sweep.optuna.attributes import EXHAUSTED, MARKED, SIGNATURE, STOPPED, WORKERS
from dcase_sweep.sweep.optuna.signature import Objective, Signature, differences
from dcase_sweep.sweep.optuna.storage import claim
from dcase_sweep.utils.errors import UserError


def open_study(
    storage: BaseStorage,
    name: str,
    objective: Objective,
    signature: Signature,
    *,
    fresh: bool,
    rename: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Any:
    """Create the study with this name, or continue it if it has the same signature.

    A fresh study does not change the existing ones: it is named ``NAME.2`` and so on, and is continued from then on.
    Must be called within ``claim``.

    Args:
        storage: the storage of the study.
        name: the name of the study.
        objective: the objectives of the study.
        signature: the properties that must match those of an existing study.
        fresh: whether to create a new study.
        rename: replaces former names of keys in a stored configuration.

    Raises:
        UserError: for a different signature, with the differences.
    """
    names = [found.study_name for found in storage.get_all_studies()]
    generation = max((_generation(found, name) for found in names), default=0)
    if generation and not fresh:
        study = optuna.load_study(study_name=_of_generation(name, generation), storage=storage)
        _check_signature(study, objective, signature, rename)
        for reason in (STOPPED, EXHAUSTED):
            if study.user_attrs.get(reason) is not None:
                study.set_user_attr(reason, None)
        return study
    study = optuna.create_study(
        study_name=_of_generation(name, generation + 1),
        storage=storage,
        directions=[*objective.directions],  # type: ignore[list-item]
    )
    _sign(study, objective, signature)
    return study


def join_study(
    storage: BaseStorage,
    name: str,
    objective: Objective,
    signature: Signature,
    *,
    rename: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Any:
    """Load the study with exactly this name to work on it. It must have the same signature.

    Raises:
        UserError: for a different signature, with the differences.
    """
    study = optuna.load_study(study_name=name, storage=storage)
    remedy = "Join it from the project that started it, with the same files"
    _check_signature(study, objective, signature, rename, remedy)
    return study


def _check_signature(
    study: optuna.Study,
    objective: Objective,
    signature: Signature,
    rename: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    remedy: str = "Use another hydra.sweeper.study_name, or hydra.sweeper.fresh=true to start a new one",
) -> None:
    then = study.user_attrs.get(SIGNATURE)
    if then is None:
        directions = [each.name.lower() for each in study.directions]
        if study.get_trials(deepcopy=False) or directions != list(objective.directions):
            raise UserError(
                f"study {study.study_name} was not created by a search of dcase_sweep; use another "
                "hydra.sweeper.study_name, or hydra.sweeper.fresh=true to start a new one"
            )
        _sign(study, objective, signature)  # the command that created it was killed before it wrote the signature
        return
    # The keys that vary are not in the configuration, and without them it may look like one of an earlier version.
    varied = {key: None for key in then.get("space", {}) if "." in key and "*" not in key}
    renamed = rename({**varied, **then.get("configuration", {})})
    then = {**then, "configuration": {key: value for key, value in renamed.items() if key not in varied}}
    changed = differences(then, signature.plain())
    if changed:
        more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            f"study {study.study_name} was created with different settings: {'; '.join(changed[:5])}{more}. {remedy}"
        )


def _sign(study: optuna.Study, objective: Objective, signature: Signature) -> None:
    study.set_user_attr(MARKED, [])
    # The signature is written last, so a study with a signature is complete.
    study.set_metric_names(list(objective.metrics))
    study.set_user_attr(SIGNATURE, signature.plain())


def _generation(found: str, name: str) -> int:
    if found == name:
        return 1
    number = found.removeprefix(f"{name}.")
    return int(number) if found != number and number.isdecimal() else 0


def _of_generation(name: str, generation: int) -> str:
    return name if generation == 1 else f"{name}.{generation}"


def claim_worker_number(study: optuna.Study) -> int:
    """Return a number that no other worker of the study gets, from 0.

    Samplers add it to their seed. The number of a worker within its command would not do: two machines that run the
    same command would draw the same values.
    """
    with claim(study._storage):
        found = study.user_attrs.get(WORKERS)
        number = found if isinstance(found, int) and found >= 0 else 0
        study.set_user_attr(WORKERS, number + 1)
    return number
