"""Names of keys and classes of earlier versions. They are still accepted, keys with one line of notice."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.renamed_components import (
    rename_component_flat,
    rename_component_keys,
    rename_component_words,
)
from dcase_sweep.utils.errors import UserError

#: Renamed keys of a configuration: former name → current name.
KEYS = {
    "training.keep_from": "training.best_after_fraction",
    "hardware.features_on": "hardware.cache_device",
    "mean_teacher.consistency": "mean_teacher.consistency_weight",
    "mean_teacher.ema": "mean_teacher.ema_decay",
    "mean_teacher.mask_mels_share": "mean_teacher.mask_mels_fraction",
    "data.validation_share": "data.validation_fraction",
    "data.weak_validation_share": "data.weak_validation_fraction",
    "framework.learners.scenes": "task.learner",
    "framework.learners.events": "task.learner",
    "front_end.seconds": "data.seconds",
    "front_end.sample_rate": "task.sample_rate",
}
#: Removed keys, and the key to set instead. In a file they are ignored.
REMOVED = {
    "task.demo": "data._target_",
    "task.demo_epochs": "training.epochs",
    "task.demo_ramp_epochs": "mean_teacher.ramp_epochs",
    "task.demo_batch": "mean_teacher.strong, mean_teacher.weak and mean_teacher.unlabelled",
    "task.demo_ema": "mean_teacher.ema_decay",
    "task.demo_ema_decay": "mean_teacher.ema_decay",
    "task.ramp_epochs": "mean_teacher.ramp_epochs",
    "task.batch": "mean_teacher.strong, mean_teacher.weak and mean_teacher.unlabelled",
    "task.ema": "mean_teacher.ema_decay",
    "task.ema_decay": "mean_teacher.ema_decay",
}
#: Classes of tasks by the former ``task.kind``.
_TASKS = {
    "scenes": "dcase_sweep.tasks.scene_classification.SceneClassification",
    "events": "dcase_sweep.tasks.sound_event_detection.SoundEventDetection",
}
#: Renamed classes in checkpoints or users' files.
CLASSES = {
    "dcase_sweep.data.demo.dataset.DemoScenes": "dcase_sweep.demo.tau.DemoScenes",
    "dcase_sweep.data.demo.soundscape_dataset.DemoSoundscapes": "dcase_sweep.demo.desed.DemoSoundscapes",
    "dcase_sweep.learners.scenes.SceneLearner": "dcase_sweep.training.scenes.SceneLearner",
    "dcase_sweep.learners.mean_teacher.learner.MeanTeacherLearner": (
        "dcase_sweep.training.mean_teacher.learner.MeanTeacherLearner"
    ),
    "dcase_sweep.learners.keras.learner.KerasSceneLearner": "dcase_sweep.training.keras.learner.KerasSceneLearner",
}
_noticed: set[str] = set()


def rename_overrides(words: Sequence[str]) -> list[str]:
    """Replace former names of keys in the overrides of a command line.

    Raises:
        UserError: for a removed key, with the key to set instead.
    """
    return rename_component_words([_rename_override(word) for word in words], _notice_component)


def _rename_override(word: str) -> str:
    key, equals, value = word.partition("=")
    name = key.lstrip("+~")
    if name in REMOVED:
        raise UserError(f"{word}: no longer a key; set {REMOVED[name]}")
    if name not in KEYS:
        return word
    _notice(name)
    return key.removesuffix(name) + KEYS[name] + equals + value


def rename_keys(flat: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Replace former names of dotted keys. A key of an earlier version replaces the default of the current one."""
    flat = _rename_task(flat)
    renamed = {key: value for key, value in flat.items() if key not in KEYS}
    for old in flat.keys() & KEYS.keys():
        renamed[KEYS[old]] = flat[old]
        if not quiet:
            _notice(old)
    renamed = rename_component_flat(renamed)
    return {
        key: CLASSES.get(value, value) if _is_target(key, value) else value
        for key, value in renamed.items()
        if not any(key == old or key.startswith(f"{old}.") for old in REMOVED)
    }


def _rename_task(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Convert ``task.kind`` and ``framework.learners.KIND`` to ``task._target_`` and ``task.learner``."""
    prefix = "framework.learners."
    kept = {key: value for key, value in flat.items() if key != "task.kind" and not key.startswith(prefix)}
    kind = flat.get("task.kind")
    if kind not in _TASKS:
        return kept
    learner = flat.get(f"{prefix}{kind}")
    if isinstance(learner, str) and not learner.startswith("dcase_sweep."):  # otherwise it is the task's default
        kept.setdefault("task.learner", learner)
    return {"task._target_": _TASKS[kind], **kept}


def rename_composed(composed: DictConfig) -> None:
    """Replace former names in a composed configuration, in place."""
    _rename_learners(composed)
    for old, new in KEYS.items():
        group, _, name = old.partition(".")
        node = composed.get(group) if group in composed else None
        if isinstance(node, DictConfig) and name in node:
            _notice(old)
            unresolved: Any = OmegaConf.to_container(node, resolve=False)
            OmegaConf.update(composed, new, unresolved[name])
            del node[name]
    for old, new in REMOVED.items():
        group, _, name = old.partition(".")
        node = composed.get(group) if group in composed else None
        if isinstance(node, DictConfig) and name in node:
            _say(old, f"note: {old} no longer has an effect; set {new}")
            del node[name]
    task = composed.get("task")
    if isinstance(task, DictConfig) and "kind" in task:
        task.setdefault("_target_", _TASKS.get(task.kind))
        del task["kind"]
    _rename_components(composed)
    for group in map(str, composed):
        is_missing = OmegaConf.is_missing(composed, group) or OmegaConf.is_interpolation(composed, group)
        node = None if is_missing else composed[group]
        target = node.get("_target_") if isinstance(node, DictConfig) and "_target_" in node else None
        if isinstance(target, str) and target in CLASSES:
            OmegaConf.update(composed, f"{group}._target_", CLASSES[target])


def _rename_components(composed: DictConfig) -> None:
    """Add the current components to a configuration whose files have former keys."""
    groups = [
        name for name in ("optimizer", "scheduler", "training", "augmentation", "mean_teacher") if name in composed
    ]
    nested: Any = OmegaConf.to_container(composed, resolve=False)
    nested = {name: nested[name] for name in groups}
    if rename_component_keys(nested, _notice_component):
        for group, values in nested.items():
            composed[group] = values


def _rename_learners(composed: DictConfig) -> None:
    """Convert ``framework.learners``, a class for each kind of task, to ``task.learner``."""
    framework = composed.get("framework")
    learners = framework.pop("learners", None) if isinstance(framework, DictConfig) else None
    if not isinstance(learners, DictConfig):
        return
    target = OmegaConf.select(composed, "task._target_") or _TASKS.get(OmegaConf.select(composed, "task.kind"))
    for kind, learner in learners.items():
        if target == _TASKS.get(str(kind)):
            _notice(f"framework.learners.{kind!s}")
            OmegaConf.update(composed, "task.learner", learner)


def _is_target(key: str, value: Any) -> bool:
    return isinstance(value, str) and key.endswith("._target_")


def _notice(old: str) -> None:
    _notice_component(old, KEYS[old])


def _notice_component(old: str, new: str) -> None:
    _say(old, f"note: {old} is now called {new}; the old name only works in this version")


def _say(old: str, line: str) -> None:
    """Print a notice once per process."""
    if old not in _noticed:
        _noticed.add(old)
        print(line, file=sys.stderr)
