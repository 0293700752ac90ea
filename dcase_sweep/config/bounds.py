"""Bounds of numbers, checked before anything of their size is allocated.

Each key has a range that is far wider than usual values, but prevents exhausting the machine. Combinations of keys are
checked by an estimate of their memory, which is a lower bound, so that nothing is rejected that would fit.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dcase_sweep.config.classes import locate_class
from dcase_sweep.utils.cpu import usable_cores
from dcase_sweep.utils.errors import UserError, free_bytes
from dcase_sweep.utils.machine import format_bytes, memory_bytes
from dcase_sweep.utils.text import printable

#: The lowest and the highest valid value; None = no bound.
Range = tuple[float | None, float | None]
#: Epochs; also for the lengths of ramps.
_EPOCHS: Range = (0, 10_000_000)
#: Coefficients of the training; larger values exceed single precision.
_COEFFICIENT: Range = (None, 1e6)
_SEED: Range = (0, 2**32 - 1)
_CLIPS: Range = (0, 1_000_000)
#: Clips of one kind in a batch of task 4.
_PART: Range = (0, 100_000)
_DAY = 86_400
_MOST = 2**63 - 1

#: Lowest and highest value of each key; ``*`` matches any name or position. Keys of ``data``, ``front_end`` and
#: ``model`` apply to this package's classes only.
BOUNDS: dict[str, Range] = {
    "task.size_limit_kib": (1e-3, 1e9),
    "task.sample_rate": (100, 10_000_000),
    "data.seconds": (1e-3, _DAY),
    "data.train_clips": _CLIPS,
    "data.test_clips": _CLIPS,
    "data.strong_clips": _CLIPS,
    "data.weak_clips": _CLIPS,
    "data.unlabeled_clips": _CLIPS,
    "data.synthetic_validation_clips": _CLIPS,
    "data.validation_clips": _CLIPS,
    "data.generator_seed": (0, _MOST),
    "data.*validation_seed": _SEED,
    "data.split_seed": _SEED,
    "data.folds": (2, 10_000),
    "front_end.window_seconds": (1e-6, 60),
    "front_end.hop_seconds": (1e-6, 60),
    "front_end.n_fft": (2, 262_144),
    "front_end.window": (1, 262_144),
    "front_end.hop": (1, 10_000_000),
    "front_end.n_mels": (1, 4096),
    "front_end.n_mfcc": (1, 4096),
    "front_end.n_bins": (1, 4096),
    "front_end.bins_per_octave": (1, 400),
    "front_end.gain": (0, 1000),
    "front_end.bias": (0, 1e6),
    "front_end.power": (0, 1000),
    "front_end.time_constant": (1e-6, _DAY),
    "front_end.eps": (1e-37, 1e6),
    "front_end.scale": (1e-6, 1e12),
    "front_end.f_min": (0, 5_000_000),
    "front_end.f_max": (0, 5_000_000),
    "front_end.floor": (1e-37, 1e6),
    "front_end.decibel_floor": (1e-37, 1e6),
    "front_end.decibel_*": (-10_000, 10_000),
    "model.depth": (1, 1000),
    "model.units": (1, 1_000_000),
    "model.filters": (1, 65_536),
    "model.kernel": (1, 9999),
    "model.pools.*": (1, 100_000),
    "model.recurrent_units": (1, 65_536),
    "model.recurrent_layers": (1, 100),
    "model.norm_epsilon": (0, 1000),
    "model.norm_momentum": (0, 1),
    "model.blocks.*.filters": (1, 65_536),
    "model.blocks.*.kernel": (1, 9999),
    "model.blocks.*.pool": (1, 100_000),
    "model.blocks.*.dropout": (None, None),
    "training.epochs": (1, _EPOCHS[1]),
    "training.batch_size": (1, 1_000_000),
    "optimizer.lr": _COEFFICIENT,
    "optimizer.eps": _COEFFICIENT,
    "optimizer.weight_decay": _COEFFICIENT,
    "optimizer.momentum": _COEFFICIENT,
    "scheduler.warmup_epochs": (None, _EPOCHS[1]),
    "augmentation.*.alpha": _COEFFICIENT,
    "augmentation.*.count": (0, 1000),
    "augmentation.*.width": (1, 1_000_000),
    "augmentation.*.std": (None, 1_000_000),
    "augmentation.*.decibels": (None, 200),
    "augmentation.*.bands": (None, 10_000),
    "augmentation.*.narrowest": (1, 10_000),
    "compression.nonzero_kib": (None, 1e9),
    "mean_teacher.strong": _PART,
    "mean_teacher.weak": _PART,
    "mean_teacher.unlabelled": _PART,
    "mean_teacher.ramp_epochs": _EPOCHS,
    "mean_teacher.consistency_weight": _COEFFICIENT,
    "mean_teacher.median_filter*": (None, 100_000),
    "evaluation.thresholds": (None, 10_000),
    "evaluation.*collar": (None, _DAY),
    "evaluation.offset_fraction": (None, 1000),
    "evaluation.segment_length": (0.01, _DAY),
    "evaluation.scenario*.alpha_*": _COEFFICIENT,
    "evaluation.scenario*.max_efpr": (0, 1e9),
    "hardware.threads": (1, 1024),
    "hardware.workers": (1, 1024),
}
_OWN = "dcase_sweep."
_TARGETED = ("data", "front_end", "model")
#: A key of all data sets, independent of their class.
_SECONDS = "data.seconds"


def _show(value: object) -> str:
    return printable(value, 60)


def check_literals(values: Mapping[str, Any]) -> None:
    """Check that all numbers are finite and have at most 64 bits.

    Args:
        values: dotted keys and plain values.

    Raises:
        UserError: for the first invalid number, with its key.
    """
    for key, value in values.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{key}={number}: expected a finite number")
            if isinstance(number, int) and not -_MOST <= number <= _MOST:
                raise UserError(f"{key}={_show(number)}: expected a number of at most 64 bits")


def check_bounds(values: Mapping[str, Any], groups: Collection[str] | None = None) -> None:
    """Check that numbers are within the ranges of their keys, and that the front end fits in memory.

    Args:
        values: dotted keys and plain values. Texts and missing values are checked by the schema.
        groups: the groups whose numbers are checked; None = all.

    Raises:
        UserError: with the key, what was found and what is expected; if known, also the required and the available
            memory.
    """
    for pattern, (low, high) in BOUNDS.items():
        if groups is not None and pattern.partition(".")[0] not in groups:
            continue
        for key, value in _matching(values, pattern):
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, bool) or not isinstance(number, int | float):
                    raise UserError(f"{key}={_show(value)}: expected a number")
                if low is not None and number < low:
                    raise UserError(f"{key}={_show(value)}: expected at least {low:g}")
                if high is not None and number > high:
                    raise UserError(f"{key}={_show(value)}: expected at most {_number(high)}{_demand(key, values)}")
    _check_front_end(values)


def _matching(values: Mapping[str, Any], pattern: str) -> Iterator[tuple[str, Any]]:
    """Return the keys that match a pattern, with their values."""
    group, depth = pattern.partition(".")[0], pattern.count(".")
    if group in _TARGETED and pattern != _SECONDS and not _is_own(values, group):
        return
    exact = pattern in values
    if not exact and "*" not in pattern:
        return
    before = pattern.partition("*")[0]
    for key, value in [(pattern, values[pattern])] if exact else values.items():
        if not key.startswith(before):  # matching every key would add milliseconds to each trial
            continue
        is_text = isinstance(value, str) and (not key.startswith("model.blocks") or value.startswith("${"))
        if value is None or is_text or key.count(".") < depth:
            continue
        if exact or fnmatchcase(key, pattern):
            yield key, value


def _is_own(values: Mapping[str, Any], group: str) -> bool:
    return str(values.get(f"{group}._target_")).startswith(_OWN)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _demand(key: str, values: Mapping[str, Any]) -> str:
    """Describe in brackets the memory that a number requires and that the machine has; empty if not known."""
    if key.startswith("hardware."):
        return f" (this process may use {usable_cores()} cores)"
    if key.startswith("data.") and key != _SECONDS:
        return _disk_demand(values)
    needed, memory = _estimate(key, values), memory_bytes()
    if needed is None:
        return ""
    has = f"; this machine has {format_bytes(memory)} of memory" if memory else ""
    return f" (it would take {format_bytes(needed)}{has})"


def _disk_demand(values: Mapping[str, Any]) -> str:
    group = {key.removeprefix("data."): value for key, value in values.items() if key.startswith("data.")}
    group.pop("seconds", None)
    try:
        dataset: Any = locate_class("data", group.pop("_target_"))(**group)
        needed, free = dataset.disk_bytes, free_bytes(dataset.root)
    except (UserError, AttributeError, TypeError, ValueError, OSError):  # another error, which is reported next
        return ""
    return f" (the recordings would take {format_bytes(needed)}; the disk has {format_bytes(free)} free)"


def _estimate(key: str, values: Mapping[str, Any]) -> float | None:
    """Estimate the bytes that a key's number requires; None if the front end is not this package's."""
    if not _is_own(values, "front_end"):
        return None
    sizes = _Sizes.of(values)
    if sizes is None:
        return None
    if key in ("front_end.n_mels", "front_end.n_fft"):
        return sizes.filters
    if key.startswith("front_end.") or key in (_SECONDS, "task.sample_rate"):
        return sizes.clip
    is_batch = key in ("training.batch_size", *(f"mean_teacher.{part}" for part in ("strong", "weak", "unlabelled")))
    return 4.0 * values[key] * sizes.n_mels * sizes.frames if is_batch else None


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The sizes of this package's front ends, computed from their settings."""

    samples: float
    frames: float
    bins: float
    n_mels: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "_Sizes | None":
        """Create the sizes from settings; None if a number is missing or invalid."""
        names = ("task.sample_rate", _SECONDS, "front_end.n_fft", "front_end.n_mels")
        numbers = [values.get(name) for name in names]
        rate, seconds, n_fft, n_mels = (float(n) if isinstance(n, int | float) else 0.0 for n in numbers)
        hop = values.get("front_end.hop", values.get("front_end.hop_seconds"))
        if not isinstance(hop, int | float) or min(rate, seconds, n_fft, n_mels, hop) <= 0:
            return None
        step = hop if "front_end.hop" in values else hop * rate
        return cls(seconds * rate, seconds * rate / step, n_fft / 2 + 1, n_mels)

    @property
    def filters(self) -> float:
        """Bytes during the computation of the filters: four matrices ``[mel, bin]`` in double precision."""
        return 4 * 8 * (self.n_mels + 2) * self.bins

    @property
    def clip(self) -> float:
        """Bytes of a clip's samples, of the magnitudes ``[frame, bin]`` of its spectra, and of its features."""
        return 4 * (self.samples + self.frames * (self.bins + self.n_mels))


def _check_front_end(values: Mapping[str, Any]) -> None:
    """Check that the filters and a clip fit in memory."""
    sizes, memory = _Sizes.of(values) if _is_own(values, "front_end") else None, memory_bytes()
    if sizes is None or memory is None:
        return
    if sizes.filters > memory:
        raise UserError(
            f"front_end.n_mels={values['front_end.n_mels']}: the filters over n_fft={values['front_end.n_fft']} take "
            f"{format_bytes(sizes.filters)}; this machine has {format_bytes(memory)} of memory; use fewer bands or a "
            "smaller n_fft"
        )
    if sizes.clip > memory:
        raise UserError(
            f"data.seconds={values[_SECONDS]:g}: the spectra of a clip of {sizes.frames:,.0f} frames "
            f"take {format_bytes(sizes.clip)}; this machine has {format_bytes(memory)} of memory; use shorter clips or "
            "a larger hop"
        )
