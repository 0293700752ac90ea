"""Keys of the optimizer, schedule and augmentation from versions before they were components.

``optimizer.name=adamw``, ``training.schedule=cosine``, ``augmentation.mixup_alpha=0.2`` and
``mean_teacher.frame_shift=90`` keep their meaning on a command line, in a user's file and in a checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from dcase_sweep.config.flat import flatten, unflatten
from dcase_sweep.config.folders import conf_folder

#: Keys that have become groups.
GROUPS = {"optimizer.name": "optimizer", "training.schedule": "scheduler"}
#: Former options of augmentations: key → component and argument, in the order of application.
OPTIONS = {
    "augmentation.roll": ("roll", "fraction"),
    "augmentation.freq_mixstyle_p": ("freq_mixstyle", "probability"),
    "augmentation.freq_mixstyle_alpha": ("freq_mixstyle", "alpha"),
    "augmentation.mask_mels": ("mask_mels", "count"),
    "augmentation.mask_mels_width": ("mask_mels", "width"),
    "augmentation.mask_frames": ("mask_frames", "count"),
    "augmentation.mask_frames_width": ("mask_frames", "width"),
    "augmentation.mixup_alpha": ("mixup", "alpha"),
    "mean_teacher.frame_shift": ("frame_shift", "std"),
    "mean_teacher.mask_mels": ("event_mask_mels", "count"),
    "mean_teacher.mask_mels_fraction": ("event_mask_mels", "fraction"),
    "mean_teacher.filter_augment": ("filter_augment", "decibels"),
    "mean_teacher.filter_augment_kind": ("filter_augment", "shape"),
    "mean_teacher.filter_augment_bands": ("filter_augment", "bands"),
    "mean_teacher.filter_augment_narrowest": ("filter_augment", "narrowest"),
    "mean_teacher.mixup_probability": ("event_mixup", "probability"),
    "mean_teacher.mixup_alpha": ("event_mixup", "alpha"),
    "mean_teacher.mixup_labels": ("event_mixup", "labels"),
}
#: The argument that turned a component off when it was 0. The recipe's mixup was always present.
_SWITCHES = {
    "roll": "fraction",
    "freq_mixstyle": "probability",
    "mask_mels": "count",
    "mask_frames": "count",
    "mixup": "alpha",
    "frame_shift": "std",
    "event_mask_mels": "count",
    "filter_augment": "decibels",
}
_ORDER = tuple(dict.fromkeys(component for component, _ in OPTIONS.values()))
#: Called with a former key and its replacement.
Notice = Callable[[str, str], None]


def rename_component_words(words: Sequence[str], notice: Notice) -> list[str]:
    """Replace former keys in the overrides of a command line by the current groups and components."""
    renamed: list[str] = []
    used: set[str] = set()
    for word in words:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if equals and name in GROUPS:
            notice(name, GROUPS[name])
            renamed.append(f"{GROUPS[name]}={value}")
        elif equals and name in OPTIONS and not value.startswith("{"):
            component, argument = OPTIONS[name]
            notice(name, f"augmentation.{component}.{argument}")
            used.add(component)
            renamed.append(f"augmentation.{component}.{argument}={value}")
        else:
            renamed.append(word)
    is_chosen = any(word.startswith("augmentation=") for word in words)
    if not used or is_chosen or used == {"event_mixup"}:  # part of the recipe of task 4 in any case
        return renamed
    is_of_events = any(key.startswith("mean_teacher.") for key, (each, _) in OPTIONS.items() if each in used)
    chosen = [each for each in _ORDER if each in used or (is_of_events and each == "event_mixup")]
    place = next(position for position, word in enumerate(renamed) if word.startswith("augmentation."))
    return [*renamed[:place], f"augmentation=[{','.join(chosen)}]", *renamed[place:]]


def rename_component_keys(nested: dict[str, Any], notice: Notice) -> bool:
    """Replace former keys in the groups of a configuration, in place. Returns whether anything has changed.

    A configuration of an earlier version, such as that of a checkpoint, gets all components. A current configuration
    with a former key from a user's file gets the meaning of this key.
    """
    optimizer = nested.get("optimizer")
    is_earlier = isinstance(optimizer, Mapping) and bool(optimizer) and "_target_" not in optimizer
    changed = [_rename_optimizer(nested, notice), _rename_schedule(nested, notice, is_earlier)]
    changed.append(_rename_augmentation(nested, notice, is_earlier))
    if is_earlier:
        is_of_events = nested.get("mean_teacher") is not None
        loss = "BCELoss" if is_of_events else "CrossEntropyLoss"
        nested.setdefault("task", {}).setdefault("loss", {"_target_": f"torch.nn.{loss}"})
    return is_earlier or any(changed)


def rename_component_flat(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Replace former keys in the flattened configuration of a checkpoint.

    Raises:
        TypeError: if a key is both a value and a group.
    """
    if not any(key in flat for key in (*GROUPS, *OPTIONS, "optimizer.lr")) or "optimizer._target_" in flat:
        return dict(flat)
    nested = unflatten(flat)
    rename_component_keys(nested, lambda old, new: None)
    values: Any = OmegaConf.to_container(OmegaConf.create(nested), resolve=True)
    return flatten(values)


def _load(group: str, name: str) -> dict[str, Any]:
    """Load the keys of one of this package's choices, unresolved; empty if there is no such choice."""
    path = conf_folder() / group / f"{name}.yaml"
    loaded: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False) if path.is_file() else {}
    loaded.pop("_partial_", None)
    return dict(loaded)


def _rename_optimizer(nested: dict[str, Any], notice: Notice) -> bool:
    settings = nested.get("optimizer")
    is_earlier = isinstance(settings, dict) and ("name" in settings or (settings and "_target_" not in settings))
    if not isinstance(settings, dict) or not is_earlier:
        return False
    if "name" in settings:
        notice("optimizer.name", "optimizer")
    chosen = _load("optimizer", str(settings.pop("name", "adam")))
    if "_target_" not in settings and "eps" in settings:
        nested.setdefault("training", {})["adam_eps"] = settings["eps"]
    kept = {key: value for key, value in settings.items() if key in chosen and key != "_target_"}
    nested["optimizer"] = chosen | kept
    return True


def _rename_schedule(nested: dict[str, Any], notice: Notice, is_earlier: bool) -> bool:
    training = nested.get("training")
    if not isinstance(training, dict) or not (is_earlier or "schedule" in training):
        return False
    if "schedule" in training:
        notice("training.schedule", "scheduler")
    nested["scheduler"] = _load("scheduler", str(training.pop("schedule", "constant")))
    return True


def _rename_augmentation(nested: dict[str, Any], notice: Notice, is_earlier: bool) -> bool:
    found: dict[str, dict[str, Any]] = {}
    for key, (component, argument) in OPTIONS.items():
        group, _, name = key.partition(".")
        settings = nested.get(group)
        if isinstance(settings, dict) and name in settings and not isinstance(settings[name], Mapping):
            notice(key, f"augmentation.{component}.{argument}")
            found.setdefault(component, {})[argument] = settings.pop(name)
    if not found and not is_earlier:
        return False
    if is_earlier and nested.get("mean_teacher") is not None:
        found.setdefault("event_mixup", {})
    present = nested.get("augmentation") or {}
    chain: dict[str, Any] = {}
    for component in _ORDER:
        arguments = found.get(component)
        if component in present:
            chain[component] = {**present[component], **(arguments or {})}
        elif arguments is not None and arguments.get(_SWITCHES.get(component, ""), 1):
            chain[component] = _load("augmentation", component)[component] | arguments
    nested["augmentation"] = chain | {name: each for name, each in present.items() if name not in chain}
    return True
