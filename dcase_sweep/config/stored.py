"""Configurations from files: checkpoints, runs and artifacts. They are not trusted.

Such a file determines how a network is built. It does not determine what is imported, which files are read, where
anything is written, or where runs are logged. These come from the command line, the environment and the defaults in
``conf``.
"""

import math
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.bounds import check_bounds
from dcase_sweep.config.checks import check
from dcase_sweep.config.classes import (
    PACKAGES,
    Named,
    check_all_named,
    check_file_target,
    check_nested_target,
    names_code,
)
from dcase_sweep.config.flat import flatten, plain, unflatten
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.group_schemas import type_group
from dcase_sweep.config.instantiate import build_front_end
from dcase_sweep.config.renamed import rename_keys
from dcase_sweep.config.schemas import Experiment, Task
from dcase_sweep.config.task import locate_task
from dcase_sweep.utils.errors import UserError

#: Keys of a file that are always ignored: locations and settings of the machine.
_IGNORED = ("tracking.", "store.", "hardware.", "framework.", "logger.", "metrics.", "resume", "hydra")
#: Components of a training, which are not needed for a finished run. A file's are not even located.
_UNUSED = ("optimizer.", "scheduler.", "augmentation.", "callbacks.", "task.loss.")
#: Files that a training started from, and the class that trained. They are not needed afterwards.
_UNSET = ("compression.start", "mean_teacher.checkpoint", "task.learner")
#: The task of exported files, which decides how short recordings are extended.
_SCENES = "dcase_sweep.tasks.scene_classification.SceneClassification"
#: What stands for recordings where a task has no generated ones.
_UNREAD = "dcase_sweep.data.unread.UnreadRecordings"
_MOST_KEYS, _LONGEST, _LARGEST = 5_000, 1_000, 2**63


def is_printable(value: object, longest: int = _LONGEST) -> bool:
    """Whether a value is a single line of text that a terminal prints unchanged."""
    return isinstance(value, str) and len(value) <= longest and value.isprintable()


def check_stored(flat: object) -> dict[str, Any]:
    """Validate the flattened configuration of a file: dotted keys, plain values, no interpolations.

    Raises:
        ValueError: for the first invalid key or value.
    """
    if not isinstance(flat, dict):
        raise ValueError(f"its configuration is {'missing' if flat is None else f'a {type(flat).__name__}'}")
    if len(flat) > _MOST_KEYS:
        raise ValueError(f"its configuration has {len(flat):,} keys, more than {_MOST_KEYS:,}")
    for key, value in flat.items():
        if not is_printable(key, 300) or not key:
            raise ValueError("its configuration has a key that is not printable text")
        items = value if isinstance(value, list) else [value]
        if len(items) > _MOST_KEYS:
            raise ValueError(f"{key} has {len(items):,} values")
        for item in items:
            _check_value(key, item)
    return dict(flat)


def _check_value(key: str, value: object) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) >= _LARGEST:
            raise ValueError(f"{key} is a number of more than 64 bit")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{key} is {value}")
    elif not isinstance(value, str):
        raise ValueError(f"{key} is a {type(value).__name__}")
    elif not is_printable(value):
        raise ValueError(f"{key} is not printable text of one line")
    elif "${" in value:
        raise ValueError(f"{key}={value[:80]} would be resolved; a file must contain plain values")


def restore_experiment(
    configuration: Mapping[str, Any],
    *,
    where: str,
    named: Named | None = None,
    overrides: Mapping[str, str] | None = None,
    reads_data: bool = True,
) -> Experiment:
    """Restore and validate the experiment of a file's configuration, with the locations and hardware of this command.

    Args:
        configuration: the result of `check_stored`.
        where: the user's name for the file, for messages.
        named: user-defined classes that are named on the command line or in the command line's folder.
        overrides: further keys and values of the command line.
        reads_data: whether recordings are needed; if not, the file's data set is ignored.

    Raises:
        UserError: in one line, for a class that a file may not name, and for settings that must be on the command line.
    """
    named, overrides = named or {}, overrides or {}
    try:
        kept = {key: value for key, value in configuration.items() if not key.startswith(_IGNORED)}
        kept = {key: value for key, value in rename_keys(kept, quiet=True).items() if not key.startswith(_UNUSED)}
        used = kept if reads_data else {key: value for key, value in kept.items() if not key.startswith("data.")}
        check_all_named(used, named)
        _check_instructions(used, named)
        nested = _nested({key: None if key in _UNSET else value for key, value in kept.items()})
        check_file_target("task", _mapping(nested, "task").get("_target_"), named)
        if not reads_data:
            nested["data"] = _demo(nested)
        other = named.get("data._target_")
        if isinstance(other, str):  # recordings other than those of the training may need another class
            _mapping(nested, "data")["_target_"] = other
        for group in PACKAGES:
            check_file_target(group, _mapping(nested, group).get("_target_"), named)
        if reads_data:
            _place_data(nested, overrides)
        _check_paths(nested, overrides)
        composed = OmegaConf.create(nested | _of_this_machine())
        composed.merge_with(OmegaConf.from_dotlist([f"{key}={value}" for key, value in overrides.items()]))
        return check(composed)
    except OmegaConfBaseException as error:
        raise UserError(f"{where}: {str(error).splitlines()[0]}") from None
    except UserError as error:
        if str(error).startswith(tuple(overrides)):  # an error on the command line
            raise
        raise UserError(f"{where}: {error}") from None


def restore_front_end(described: object, *, where: str, named: Named | None = None) -> Any:
    """The front end that a file describes: its ``_target_``, its settings, ``sample_rate`` (Hz) and ``seconds``.

    Args:
        described: the metadata of a file.
        where: the user's name for the file, for messages.
        named: classes of the user's own that the command line names.

    Raises:
        UserError: in one line, for a class that a file may not name, and for settings that are not possible.
    """
    try:
        if not isinstance(described, dict):
            raise UserError("does not describe its front end; expected a file of export")
        settings = check_stored(described)
        check_file_target("front_end", settings.get("_target_"), named or {})
        clip = {name: settings.pop(name, None) for name in ("sample_rate", "seconds")}
        for name, value in clip.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"front_end.{name}: expected a number")
        flat = {f"front_end.{name}": value for name, value in settings.items()}
        bounded = flat | {"task.sample_rate": clip["sample_rate"], "data.seconds": clip["seconds"]}
        _check_instructions(flat, named or {})
        check_bounds(bounded)
        task = Task(_target_=_SCENES, sample_rate=int(clip["sample_rate"]))
        typed = type_group("front_end", OmegaConf.create(settings))
        experiment = Experiment(task=task, data=SimpleNamespace(seconds=float(clip["seconds"])), front_end=typed)
        return build_front_end(experiment)
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{where}: {str(error).splitlines()[0]}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _check_instructions(flat: Mapping[str, Any], named: Named) -> None:
    """Reject Hydra's keywords for building objects in a file, except the class of each group.

    An object within a component may be of a class that the command line names, too.
    """
    for key, value in flat.items():
        words = [part for part in key.split(".") if len(part) > 2 and part.startswith("_") and part.endswith("_")]
        if not words or key in {f"{group}._target_" for group in PACKAGES}:
            continue
        above, _, name = key.rpartition(".")
        is_within = len(words) == 1 and above not in PACKAGES and names_code(f"{above}._target_")
        if is_within and name == "_target_":
            check_nested_target(key, value, named)
        elif not (is_within and name == "_partial_" and f"{above}._target_" in flat and isinstance(value, bool)):
            raise UserError(f"{key}: a file is not trusted to name code; expected values only")


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return unflatten(flat)
    except (TypeError, AttributeError, KeyError):
        raise UserError("its configuration has a key that is a value and a group at once") from None


def _mapping(nested: Mapping[str, Any], group: str) -> dict[str, Any]:
    found = nested.get(group)
    if not isinstance(found, dict):
        raise UserError(f"{group}: not in the configuration of the file; expected a group of values")
    return found


def _demo(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task's generated recordings, or an empty data set; both have no locations."""
    target = locate_task(_mapping(nested, "task")["_target_"]).demo_data or _UNREAD
    length = {name: value for name, value in _mapping(nested, "data").items() if name == "seconds"}
    return {"_target_": target, "name": "demo", "root": _demo_root(), **length}


def _demo_root() -> str:
    return str(OmegaConf.load(conf_folder() / "data" / "demo.yaml").root)


def _place_data(nested: dict[str, Any], overrides: Mapping[str, str]) -> None:
    """Set the location of the recordings: from the command line; for generated ones from ``conf``."""
    data = _mapping(nested, "data")
    if "data.root" in overrides or data.get("root") is None:
        return
    if str(data["_target_"]).startswith("dcase_sweep.demo."):
        data["root"] = _demo_root()
        return
    raise UserError(
        f"trained on the recordings in {data['root']}; a file is not trusted to choose files to read, so add "
        f"data.root={shlex.quote(str(data['root']))}"
    )


def _check_paths(nested: Mapping[str, Any], overrides: Mapping[str, str]) -> None:
    """Reject values of the file that could lead out of the folder that the command line names."""
    for group in PACKAGES:
        for key, value in flatten(_mapping(nested, group), group).items():
            if key in overrides or key == "data.root":
                continue
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and _leads_out(text):
                    raise UserError(
                        f"{key}={text}: a file is not trusted to choose files to read; expected a name within data.root"
                        + (f", or add {key}={shlex.quote(text)}" if group == "data" else "")
                    )


def _leads_out(text: str) -> bool:
    path = PurePath(text)
    return path.is_absolute() or text.startswith("~") or ".." in path.parts


def _of_this_machine() -> dict[str, Any]:
    """Return the groups that a file does not determine, with the defaults of ``conf``, in float32 on the CPU.

    The components of a training are not used, so any will do.
    """
    conf = conf_folder()
    hardware = plain(OmegaConf.load(conf / "hardware" / "cpu.yaml"))
    return {
        "hardware": hardware | {"precision": "32-true", "compile": False},
        "framework": plain(OmegaConf.load(conf / "framework" / "torch.yaml")),
        "tracking": {},
        "optimizer": plain(OmegaConf.load(conf / "optimizer" / "adam.yaml")),
        "scheduler": plain(OmegaConf.load(conf / "scheduler" / "constant.yaml")),
        "logger": {},
        "metrics": {},
        "store": {"root": OmegaConf.load(conf / "config.yaml").store.root},
        "resume": None,
    }
