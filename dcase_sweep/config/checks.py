"""Validation of a composed configuration: keys, types, values, and combinations of settings.

Groups that name a class by ``_target_`` are typed by that class's constructor, so a new model or data set needs no
changes here.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import MISSING as NO_VALUE
from omegaconf import DictConfig, OmegaConf, SCMode
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from dcase_sweep.config.bounds import check_bounds, check_literals
from dcase_sweep.config.component_checks import component_schemas
from dcase_sweep.config.flat import flatten
from dcase_sweep.config.front_end_keys import remove_keys_of_others
from dcase_sweep.config.group_schemas import TARGETED, experiment_schema, read_schema
from dcase_sweep.config.idle_keys import note_idle_keys
from dcase_sweep.config.renamed import rename_composed
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.task import locate_task
from dcase_sweep.config.value_checks import ANY_KIND, check_experiment, get_kind, get_kinds
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable, suggest

#: Groups with a single choice.
GROUPS = (
    *("task", "data", "front_end", "model", "optimizer", "scheduler", "augmentation", "callbacks"),
    *("hardware", "framework", "tracking", "logger", "metrics", "experiment", "search"),
)
#: The logger of configurations without the group ``logger``, from earlier versions.
MLFLOW = "dcase_sweep.tracking.start_run"
#: Groups with several choices.
SEVERAL = ("augmentation", "callbacks", "logger", "metrics")
_REFERENCE = re.compile(r"\$\{(oc\.select:)?[\w.]+(,\w*)?\}")
_KEY_REFERENCE = re.compile(r"\$\{\w+(\.\w+)+\}")


@dataclass(frozen=True, slots=True)
class Converted:
    """A composed configuration as typed values, before these are checked.

    Attributes:
        experiment: the typed values.
        schema: the typed configuration, in which references to other keys are still written as such.
        as_given: whether no key of an earlier version was renamed, removed or added.
    """

    experiment: Experiment
    schema: DictConfig
    as_given: bool


def check(composed: DictConfig, *, needs_network: bool = True) -> Experiment:
    """Validate a composed configuration and return it as typed values.

    Args:
        composed: the configuration.
        needs_network: whether the network is built to check it.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    experiment = convert(composed).experiment
    check_experiment(experiment, flatten(experiment), needs_network=needs_network)
    note_idle_keys(experiment, _typed_overrides(composed))
    return experiment


def convert(composed: DictConfig) -> Converted:
    """Check the keys and types of a composed configuration, and convert its values.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    typed_words = _typed_overrides(composed)
    # Hydra's own part is included when a sweep composes its jobs.
    if "hydra" in composed:
        check_hydra(composed.hydra)
    composed = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    OmegaConf.set_struct(composed, False)
    composed = _drop_types(composed)
    _remove_default(composed)
    given = OmegaConf.to_container(composed, resolve=False)
    rename_composed(composed)
    remove_keys_of_others(composed, typed_words)
    if "logger" not in composed:
        composed.logger = {"mlflow": {"_target_": MLFLOW}}
    written = OmegaConf.to_container(composed, resolve=False)
    as_given = written == given
    _check_numbers(composed, flatten(written))
    _check_keys("", composed, Experiment)
    groups = [_read_group(group, composed) for group in TARGETED]
    components = component_schemas(composed)
    _check_missing(flatten(written))
    evaluation = _evaluation_schema(composed)
    if evaluation is not None and isinstance(composed.get("evaluation"), DictConfig):
        _check_keys("evaluation.", composed["evaluation"], evaluation)
    try:
        schema = _make_schema(evaluation, groups, components)
        schema.merge_with(composed)
        experiment = OmegaConf.to_object(schema)
    except OmegaConfBaseException as error:
        where = str(error.full_key or "")
        if isinstance(error, MissingMandatoryValue):
            raise UserError(f"{where}: no value; expected one: {where}=VALUE") from None
        if where.partition(".")[0] not in composed:  # OmegaConf names no key, or only a position in a list
            group = _wrong_group(_make_schema(evaluation, groups, components), composed)
            where = ": ".join(filter(None, [group, where and f"entry {where}"]))
        raise UserError(f"{where}: {_describe(error, where)}") from None
    assert isinstance(experiment, Experiment)
    return Converted(experiment, schema, as_given)


def _check_missing(flat: Mapping[str, Any]) -> None:
    """Reject ``???``, which OmegaConf would replace by the default of a schema where there is one."""
    for key, value in flat.items():
        if value == NO_VALUE or (isinstance(value, list) and NO_VALUE in value):
            raise UserError(f"{key}: no value (???); expected one: {key}=VALUE")


def _read_group(group: str, composed: DictConfig) -> type:
    """Return the schema of a group that names a class by ``_target_``.

    Raises:
        UserError: if it names none, or a key does not fit the class.
    """
    node = composed.get(group)
    if group == "data" and isinstance(node, DictConfig) and OmegaConf.is_missing(node, "_target_"):
        name = OmegaConf.select(composed, "task.name")
        raise UserError(
            f"data._target_: no value; data={node.get('name')} has none for task={name}; choose other data, or "
            "set data._target_ in the file of the task"
        )
    if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
        found = f"_target_={node.get('_target_')}" if isinstance(node, DictConfig) else repr(node)
        raise UserError(f"{group}: expected a group whose _target_ names a class; found {printable(found, 80)}")
    return read_schema(group, node)


def _describe(error: OmegaConfBaseException, where: str) -> str:
    """Describe a value that does not have the type of its key."""
    text = str(error.msg or error).splitlines()[0]
    if "is not a subclass of" in text:
        return f"expected its keys, not a value; write {where}.KEY=VALUE"
    if text.endswith("is not a ListConfig, list or tuple."):
        return f"expected a list; write '{where}=[VALUE,VALUE]'"
    return text


def _drop_types(composed: DictConfig) -> DictConfig:
    """Return a configuration without the dataclasses of Hydra's ``ConfigStore``, whose values Hydra has checked.

    OmegaConf merges no part whose type is a dataclass into one of another type.
    """
    if not _has_types(OmegaConf.to_container(composed, resolve=False, structured_config_mode=SCMode.DICT_CONFIG)):
        return composed
    return DictConfig(OmegaConf.to_container(composed, resolve=False))


def _has_types(value: Any) -> bool:
    """Whether a part of a container is still a `DictConfig`, because its type is a dataclass."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, DictConfig) or any(map(_has_types, inner))


def _remove_default(composed: DictConfig) -> None:
    """Remove ``front_end.store=true``, so that a configuration with it equals one of an earlier version."""
    node = composed.get("front_end")
    if isinstance(node, DictConfig) and node.get("store") is True:
        del node["store"]


def _make_schema(evaluation: type | None, groups: Sequence[type], components: Mapping[str, Any]) -> DictConfig:
    """Return the schema of an experiment with these groups and components, to be merged into."""
    schema = OmegaConf.merge(experiment_schema(evaluation, *groups), {})
    assert isinstance(schema, DictConfig)
    for key, members in components.items():
        OmegaConf.update(schema, key, members)
    return schema


def _evaluation_schema(composed: DictConfig) -> type | None:
    """Return the schema of ``evaluation``; None if the task has none, or model or data are for another task."""
    task = locate_task(composed["task"]["_target_"])
    kinds = {group: get_kind(group, composed[group]["_target_"]) for group in ("model", "data")}
    fit = all(kind == ANY_KIND or kind in get_kinds(task, group) for group, kind in kinds.items())
    found: type | None = task.evaluation if fit else None
    return found


def _check_numbers(composed: DictConfig, written: Mapping[str, Any]) -> None:
    """Check the bounds of numbers before classes are located, which may import libraries for seconds.

    References whose value the schema cannot change are replaced by it, because each takes OmegaConf a millisecond.
    """
    resolved: dict[str, Any] = {}
    with suppress(OmegaConfBaseException):  # reported with its key by the merge into the schema
        resolved = flatten(OmegaConf.to_container(composed, resolve=True))
    # A value that refers to another key is reported with the name of that key.
    values = resolved or written
    values = {key: value for key, value in values.items() if not _REFERENCE.fullmatch(str(written.get(key)))}
    check_literals(values)
    check_bounds(values)
    for key, text in written.items():
        if isinstance(text, str) and "${" in text and is_settled(text, resolved.get(key)):
            OmegaConf.update(composed, key, resolved[key])


def is_settled(text: str, value: Any) -> bool:
    """Whether a reference has the same value after the merge into the schema, which may convert what it refers to."""
    if _KEY_REFERENCE.fullmatch(text):
        return isinstance(value, float)
    is_environment = text.count("${") == text.count("${oc.env:")
    return is_environment and isinstance(value, str) and "${" not in value


def _wrong_group(schema: DictConfig, composed: DictConfig) -> str:
    """Find the group that does not match the schema, if the error does not name its key."""
    for group in map(str, composed):
        try:
            OmegaConf.merge(schema, OmegaConf.masked_copy(composed, [group]))
        except OmegaConfBaseException:
            return group
    return "configuration"


def _check_keys(prefix: str, node: DictConfig, schema: type) -> None:
    """Reject unknown keys with the nearest correct key, which OmegaConf's error does not name."""
    known = {member.name: member.type for member in fields(schema)}
    for key in map(str, node):
        if key not in known:
            hint = suggest(key, known, prefix=prefix, otherwise=f"expected one of {', '.join(known)}")
            raise UserError(f"{prefix}{key}: no such key; {hint}")
        if not prefix and key in TARGETED:  # the class determines its keys
            continue
        inner = next((part for part in get_args(known[key]) if is_dataclass(part)), known[key])  # a group or None
        is_value = OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key)
        if isinstance(inner, type) and is_dataclass(inner) and not is_value and isinstance(node[key], DictConfig):
            _check_keys(f"{prefix}{key}.", node[key], inner)


def task_overrides(settings: Any) -> list[str]:
    """Return the overrides as typed. Hydra's list would resolve interpolations in them."""
    typed: Any = OmegaConf.to_container(settings.overrides.task, resolve=False)
    return [str(override) for override in typed]


def _typed_overrides(composed: DictConfig) -> list[str]:
    """Return the overrides of a configuration, from its own part or from the job that runs; none if not known."""
    if "hydra" in composed:
        return task_overrides(composed.hydra)
    return task_overrides(HydraConfig.get()) if HydraConfig.initialized() else []


def check_hydra(settings: Any) -> None:
    """Reject settings of Hydra that an experiment does not support.

    Args:
        settings: Hydra's settings, including the choices of groups.

    Raises:
        UserError: in one line with the key.
    """
    if settings.job.chdir:
        raise UserError(
            "hydra.job.chdir=true: relative paths of data, features and runs would lead elsewhere; expected false "
            "(a run's own files are in hydra.run.dir in any case)"
        )
    if settings.mode == RunMode.RUN and OmegaConf.select(settings, "sweeper.search") is not None:
        raise UserError("search: no effect on a single run; add -m")
    for override in task_overrides(settings):
        check_single_choice(override)


def check_single_choice(override: str) -> None:
    """Reject a list for a group with one choice. Hydra would merge its files silently, and record none of them.

    Args:
        override: an override such as ``model=[cnn4,cnn5]``.

    Raises:
        UserError: in one line that describes how to run each of them.
    """
    key, _, value = override.partition("=")
    key = key.lstrip("+")
    if key in SEVERAL and "{" not in value:
        is_list = value.startswith("[") and value.count("[") == 1  # with -m several lists may follow each other
        names = [name.strip() for name in value.strip("[]").split(",")] if is_list else []
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"{override}: {twice} twice, which Hydra would merge into one; expected each name once")
        return
    given = re.sub(r"glob\([^()]*\)", "", value)  # may have lists of patterns
    if (key in GROUPS or key.startswith("hydra/")) and ("[" in given or "{" in given):
        raise UserError(f"{override}: not one choice; expected {key}=NAME, or with -m {key}=NAME,NAME for each")
