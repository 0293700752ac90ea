"""The tables of ``python -m dcase_sweep cache``."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.utils.machine import format_bytes
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import format_table, terminal_width

if TYPE_CHECKING:
    from dcase_sweep.data.store.inventory import CacheEntry

_HEADER = ("size", "clips", "last used", "data set", "project", "front end")
#: Letters of a name at most.
_LONGEST = 200
#: Front ends that are described by the number of bands.
_MEL_SPECTROGRAMS = ("LogMel", "AmplitudeMel")


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of feature stores and demo recordings; None if only the other kind was requested."""

    features: Path
    demo: Path | None


def print_cache(places: Places, entries: Sequence["CacheEntry"], foreign: Sequence[Path]) -> None:
    """Print two tables and a summary of other entries, in the width of the terminal."""
    features = [entry for entry in entries if entry.kind == "features"]
    recordings = [entry for entry in entries if entry.kind == "demo"]
    print(f"features in {printable(places.features)}")
    _table(features)
    if places.demo is not None:
        print(f"\ndemo recordings in {printable(places.demo)}")
        _table(recordings)
    others = {
        "hashes of files": [entry for entry in entries if entry.kind == "hashes"],
        "of an earlier version or a removal, --prune frees": [
            entry for entry in entries if entry.kind in ("earlier", "rest")
        ],
    }
    print()
    for what, found in others.items():
        if found:
            print(f"{format_bytes(sum(entry.size for entry in found)):>9}  {what}")
    print(f"{format_bytes(sum(entry.size for entry in entries)):>9}  in all")
    for path in foreign[:5]:
        print(f"not created by this program, kept: {printable(path)}")
    if len(foreign) > 5:
        print(f"... and {len(foreign) - 5} more")


def describe_entry(entry: "CacheEntry") -> str:
    """Describe an entry in one line: kind, data set, last use and folder."""
    kinds = {
        "features": "features",
        "demo": "demo recordings",
        "earlier": "features of an earlier version",
        "hashes": "hashes of files",
        "rest": "rest of a removal",
    }
    names = f" of {', '.join(map(printable, entry.data))}" if entry.data and entry.kind == "features" else ""
    return f"{kinds[entry.kind]}{names}, {_day(entry.used)}, {printable(entry.path.name)}"


def _day(moment: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return "?"


def _table(entries: Sequence["CacheEntry"]) -> None:
    if not entries:
        print("  nothing")
        return
    rows: list[Sequence[str]] = [_HEADER]
    for entry in sorted(entries, key=lambda entry: entry.used, reverse=True):
        projects = [os.path.basename(path) or path for path in entry.projects]
        what = "recordings" if entry.kind == "demo" else _front_end(entry)
        names = (", ".join(entry.data), ", ".join(reversed(projects)), what if entry.is_complete else "not complete")
        shown = (printable(name, _LONGEST) or "-" for name in names)
        rows.append((format_bytes(entry.size), f"{entry.clips:,}", _day(entry.used), *shown))
    print(format_table(rows, left=range(2, len(_HEADER)), whole=(0, 1, 2), width=terminal_width()))


def _front_end(entry: "CacheEntry") -> str:
    """Describe a front end: ``40 mel, 44.1 kHz`` for the recipes' mel spectrograms, otherwise ``PCEN, 44.1 kHz``."""
    settings = entry.front_end
    if settings is None:
        return "-"
    name, rate = str(settings.get("_target_", "-")).rpartition(".")[2], settings.get("sample_rate")
    if name in _MEL_SPECTROGRAMS and type(settings.get("n_mels")) is int:
        name = f"{settings['n_mels']} mel"
    return f"{name}, {rate / 1000:.4g} kHz" if isinstance(rate, int | float) and math.isfinite(rate) else name
