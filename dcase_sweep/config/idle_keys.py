"""Keys on the command line that have no effect beside the other settings, which one line says.

They are not refused, because they may have an effect in other jobs of a sweep.
"""

import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from dcase_sweep.config.schemas import Experiment

_RESPONSE = "dcase_sweep.training.augmentation.responses.DeviceResponse"
_DROPOUT = "model.recurrent_dropout"
_CONSTANT = "dcase_sweep.training.schedules.constant"
_MLFLOW = "dcase_sweep.tracking.start_run"
#: Groups and keys of a training.
_OF_TRAINING = (
    *("training.*", "optimizer*", "scheduler*", "augmentation*", "callbacks*", "task.loss*"),
    *(f"mean_teacher.{name}" for name in ("strong", "weak", "unlabelled")),
    *(f"mean_teacher.{name}" for name in ("ramp_epochs", "consistency_weight", "ema_decay")),
)
_OF_MLFLOW = tuple(
    f"tracking.{name}"
    for name in ("experiment", "tags*", "model", "last_checkpoint", "uri", "timeout", "start_timeout")
)
_noticed: set[str] = set()

#: Returns why a key has no effect; None if it has one.
_Reason = Callable[[Experiment, str], str | None]


def note_idle_keys(experiment: Experiment, overrides: Sequence[str]) -> None:
    """Print a line for each key that has no effect, once in a process: a search has other values in each trial.

    Args:
        experiment: the validated experiment.
        overrides: those of the command line. A key whose default is to do nothing is looked at in any case, because a
            file has set it.
    """
    dropout = f"{_DROPOUT}={getattr(experiment.model, 'recurrent_dropout', 0.0)}"
    for word in (*overrides, dropout):
        key, equals, _ = word.lstrip("+").partition("=")
        reason = find_reason(experiment, key) if equals else None
        if reason is not None and key not in _noticed:
            _noticed.add(key)
            print(f"note: {word.lstrip('+')}: no effect; {reason}", file=sys.stderr)


def find_reason(experiment: Experiment, key: str) -> str | None:
    """Return why a key has no effect in an experiment; None if it has one, or if that is not known."""
    found = (reason(experiment, key) for pattern, reason in _REASONS if fnmatchcase(key, pattern))
    return next(filter(None, found), None)


def _without_training(experiment: Experiment, key: str) -> str | None:
    return "mean_teacher.checkpoint is evaluated, and nothing is trained" if experiment.published_checkpoint else None


def _without_layers(experiment: Experiment, key: str) -> str | None:
    is_alone = getattr(experiment.model, "recurrent_layers", None) == 1 and experiment.model.recurrent_dropout
    return "it is between recurrent layers, of which there is one" if is_alone else None


def _without_eps(experiment: Experiment, key: str) -> str | None:
    eps = getattr(experiment.optimizer, "eps", None)
    if eps is None:
        return "the optimizer has no eps"
    return None if eps == experiment.training.adam_eps else f"optimizer.eps={eps:g} is set"


def _without_schedule(experiment: Experiment, key: str) -> str | None:
    scheduler = experiment.scheduler
    is_constant = scheduler._target_ == _CONSTANT and not getattr(scheduler, "ramp_epochs", 0)
    return "the learning rate is constant" if is_constant else None


def _without_pruning(experiment: Experiment, key: str) -> str | None:
    settings = experiment.compression
    return "nothing is pruned; set compression.nonzero_kib" if settings and settings.nonzero_kib is None else None


def _without_quantization(experiment: Experiment, key: str) -> str | None:
    settings = experiment.compression
    return "nothing is quantized; set compression.quantize=true" if settings and not settings.quantize else None


def _without_compression(experiment: Experiment, key: str) -> str | None:
    is_off = experiment.compression is not None and experiment.compressed is None
    return "nothing is compressed; set compression.nonzero_kib" if is_off else None


def _of_other_responses(experiment: Experiment, key: str) -> str | None:
    _, name, argument = key.split(".", 2)
    node: Any = experiment.augmentation.get(name)
    if getattr(node, "_target_", None) != _RESPONSE:
        return None
    has_folder = getattr(node, "folder", None) is not None
    if argument == "seconds":
        return None if has_folder else "it is for responses from a folder, and these are drawn"
    return "it is for drawn responses, and these are from a folder" if has_folder else None


def _without_cross_triggers(experiment: Experiment, key: str) -> str | None:
    scenario = getattr(experiment.evaluation, key.split(".")[1], None)
    return f"{key.rpartition('.')[0]}.alpha_ct=0" if getattr(scenario, "alpha_ct", None) == 0 else None


def _without_energy(experiment: Experiment, key: str) -> str | None:
    return None if experiment.tracking.energy else "nothing is measured; set tracking.energy=true"


def _without_mlflow(experiment: Experiment, key: str) -> str | None:
    is_logged = any(node.get("_target_") == _MLFLOW for node in experiment.logger.values())
    return None if is_logged else "the run is not logged to MLflow; set logger=mlflow"


def _without_rule(experiment: Experiment, key: str) -> str | None:
    chosen = getattr(experiment.data, "validation_list", None)
    return f"data.validation_list={chosen} names the validation clips" if chosen is not None else None


_REASONS: tuple[tuple[str, _Reason], ...] = (
    *((pattern, _without_training) for pattern in _OF_TRAINING),
    (_DROPOUT, _without_layers),
    ("training.adam_eps", _without_eps),
    ("scheduler.interval", _without_schedule),
    ("compression.begin", _without_pruning),
    ("compression.end", _without_pruning),
    ("compression.quantize_from", _without_quantization),
    ("compression.freeze_from", _without_quantization),
    ("compression.bits", _without_compression),
    *((f"augmentation.*.{name}", _of_other_responses) for name in ("seconds", "decibels", "points")),
    ("evaluation.scenario?.cttc", _without_cross_triggers),
    ("tracking.energy_mode", _without_energy),
    ("tracking.energy_country", _without_energy),
    *((pattern, _without_mlflow) for pattern in _OF_MLFLOW),
    *((f"data.{name}", _without_rule) for name in ("validation", "validation_fraction", "validation_seed")),
)
