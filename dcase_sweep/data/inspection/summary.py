"""The findings of an inspection."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dcase_sweep.data.inspection.counts import Counts, count_clips
from dcase_sweep.data.inspection.recordings import Measured, find_copies
from dcase_sweep.utils.console import pluralize

#: Recordings with a larger fraction of samples at full scale, or of silence, are listed.
MUCH_CLIPPED, MUCH_SILENT = 1e-3, 0.5
_SYNTHETIC = ("note", "generated recordings: not representative of real recordings")


@dataclass(frozen=True, slots=True)
class Inspection:
    """The results of an inspection.

    Attributes:
        title: name and sizes of the data set.
        notes: sources of labels and splits.
        counts: tables of clips.
        figures: pairs of a name and a measured value.
        problems: a line for each unusable recording.
        warnings: a line for each suspicious recording or setting.
    """

    title: str
    notes: tuple[tuple[str, str], ...]
    counts: tuple[Counts, ...]
    figures: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def summarize(data: Any, recordings: Sequence[Measured], *, seconds: float) -> Inspection:
    """Summarise a data set and the measurements of its recordings.

    Args:
        data: a data set of any task.
        recordings: the measured recordings.
        seconds: length of a clip in the configuration, s.
    """
    usable = [each for each in recordings if each.levels is not None]
    lengths = {each.name: each.levels.seconds for each in usable if each.levels is not None}
    return Inspection(
        data.description,
        tuple([*getattr(data, "notes", ()), *([_SYNTHETIC] if data.is_synthetic else [])]),
        tuple(count_clips(data, lengths)),
        tuple(_describe(usable)),
        tuple(f"{each.name}: {each.problem}" for each in recordings if each.problem is not None),
        tuple([*_compare(lengths, seconds), *_describe_copies(data, recordings), *_describe_levels(usable)]),
    )


def _describe(usable: Sequence[Measured]) -> list[tuple[str, str]]:
    """Describe lengths, formats and levels."""
    levels = [each.levels for each in usable if each.levels is not None]
    if not levels:
        return []
    lengths = [each.seconds for each in levels]
    rates = Counter(f"{each.sample_rate / 1000:g} kHz" for each in levels)
    channels = Counter({1: "mono", 2: "stereo"}.get(each.channels, f"{each.channels} channels") for each in levels)
    decibels = [each.decibel for each in levels if each.rms]
    shares = statistics.quantiles(decibels, n=20) if len(decibels) > 1 else decibels * 19
    return [
        ("length", f"{_describe_lengths(lengths)}; {format_seconds(sum(lengths))} in all"),
        ("format", ", ".join([*_describe_shares(rates), *_describe_shares(channels)])),
        *(
            [("level", f"{shares[9]:.1f} dB, nine in ten from {shares[0]:.1f} to {shares[18]:.1f} dB of full scale")]
            if decibels
            else []
        ),
        ("clipping", f"{pluralize(sum(each.clipped > 0 for each in levels), 'recording')} with samples at full scale"),
        (
            "silence",
            f"{100 * sum(each.silent * each.seconds for each in levels) / sum(lengths):.1f} % of the time below -70 dB",
        ),
    ]


def _describe_lengths(lengths: Sequence[float]) -> str:
    shortest, longest = format_seconds(min(lengths)), format_seconds(max(lengths))
    if shortest == longest:
        return f"{longest} each"
    return f"{shortest} to {longest}, half of them up to {format_seconds(statistics.median(lengths))}"


def _describe_shares(counts: Counter[str]) -> list[str]:
    """Describe the number of recordings of each kind; if there is only one kind, without the number."""
    return list(counts) if len(counts) == 1 else [f"{count:,} {name}" for name, count in counts.most_common()]


def _describe_copies(data: Any, recordings: Sequence[Measured]) -> list[str]:
    """Describe recordings with the same contents, those in two splits first."""
    split_of = {
        data.filenames[index]: split for split, indices in getattr(data, "splits", {}).items() for index in indices
    }
    leaks, others = [], []
    for names in find_copies(recordings):
        splits = sorted({split_of[name] for name in names if name in split_of})
        text = " = ".join(names)
        if len(splits) > 1:
            leaks.append(f"the same recording in {' and '.join(splits)}: {text}")
        else:
            others.append(f"the same recording: {text}")
    return [*leaks, *others]


def _describe_levels(usable: Sequence[Measured]) -> list[str]:
    """List clipped recordings, then mostly silent ones, the worst first."""
    known = [(each, each.levels) for each in usable if each.levels is not None and each.problem is None]
    clipped = sorted(known, key=lambda pair: -pair[1].clipped)
    silent = sorted(known, key=lambda pair: -pair[1].silent)
    return [
        *(
            f"{each.name}: {100 * levels.clipped:.1f} % of the samples are clipped"
            for each, levels in clipped
            if levels.clipped > MUCH_CLIPPED
        ),
        *(
            f"{each.name}: {100 * levels.silent:.0f} % of its length is silent"
            for each, levels in silent
            if levels.silent > MUCH_SILENT
        ),
    ]


def _compare(lengths: dict[str, float], seconds: float) -> list[str]:
    """Describe a difference between the configured clip length and that of nearly all recordings."""
    if not lengths:
        return []
    usual = statistics.median(lengths.values())
    alike = sum(abs(each - usual) <= 0.05 * usual for each in lengths.values())
    if alike < 0.9 * len(lengths) or abs(usual - seconds) <= 0.05 * seconds:
        return []
    how = "repeated or followed by silence" if usual < seconds else "cut"
    return [
        f"clips have data.seconds={seconds:g}, but most recordings last {usual:.3g} s: they are {how}, unless "
        f"data.seconds={usual:.3g}"
    ]


def format_seconds(seconds: float) -> str:
    """Format a time: ``0.05 s``, ``4.0 s``, ``3 min 20 s``, ``2 h 46 min``."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min"
