"""``python -m dcase_sweep cache``: list and remove the contents of the cache."""

import argparse
import math
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.cache_table import Places, describe_entry, print_cache
from dcase_sweep.cli.parser import HelpFormatter
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import format_bytes
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.data.store.inventory import CacheEntry

PROG = "python -m dcase_sweep cache"

DESCRIPTION = """\
List the features and demo recordings that runs share: size, clips, date of the
last use, data set, project (the folder of the commands) and front end.

--prune removes entries that no running process uses: always those of earlier
versions, and others by age, size, data set or project. Files that this program
did not create are kept. Removed entries are computed again when needed."""

EPILOG = f"""\
examples:
  {PROG}
  {PROG} --prune --older-than 30d --dry-run
  {PROG} --prune --keep 10GB
  {PROG} --prune --data demo
  {PROG} --root /scratch/features"""

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {"": 1, "B": 1} | {
    f"{prefix}{suffix}": base**power
    for suffix, base in (("", 1024), ("B", 1000), ("IB", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}


def main(arguments: list[str]) -> int:
    """List or prune the cache; return 0.

    Raises:
        UserError: for a missing folder, or an invalid age or size.
    """
    options = _parser().parse_args(arguments)
    age = None if options.older_than is None else _age(options.older_than)
    keep = None if options.keep is None else _bytes(options.keep)
    choosing = [name for name in ("older_than", "keep", "data", "project", "dry_run") if getattr(options, name)]
    if choosing and not options.prune:
        option = f"--{choosing[0].replace('_', '-')}"
        raise UserError(f"{option}: selects what --prune removes; expected --prune too")
    places = _places(options.root, options.override)
    try:
        entries, foreign = _entries(places)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror or error}; expected a folder that can be read") from error
    if not options.prune:
        print_cache(places, entries, foreign)
        return 0
    project = None if options.project is None else os.path.abspath(os.path.expanduser(options.project))
    _check_names(entries, options.data, project)
    chosen = choose(entries, older_than=age, keep=keep, data=options.data, project=project)
    _prune(entries, chosen, dry_run=options.dry_run, keep=keep)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("override", metavar="store.root=DIR", nargs="?", help="as in the command line of a run")
    parser.add_argument("--root", metavar="DIR", help="a cache, or a folder of features (DCASE_SWEEP_CACHE)")
    parser.add_argument("--prune", action="store_true", help="remove entries and print the freed space")
    parser.add_argument("--older-than", metavar="AGE", help="only entries not used for this long: 12h, 30d, 8w")
    parser.add_argument("--keep", metavar="SIZE", help="the oldest entries, until at most this is left: 500MB, 10GB")
    parser.add_argument("--data", metavar="NAME", help="only entries of this data set")
    parser.add_argument("--project", metavar="DIR", help="only entries used by commands in this folder and no other")
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    return parser


def _age(text: str) -> float:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([hdw])", text.strip().lower(), re.ASCII)
    if found is None:
        raise UserError(f"--older-than {printable(text)}: not an age; expected hours, days or weeks, as 12h, 30d or 8w")
    return float(found[1]) * _SECONDS[found[2]]


def _bytes(text: str) -> float:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([KMGT]?(?:I?B)?)", text.strip().upper(), re.ASCII)
    if found is None or found[2] not in _BYTES:
        raise UserError(f"--keep {printable(text)}: not a size; expected a number and a unit, as 500MB, 10GB or 10GiB")
    return float(found[1]) * _BYTES[found[2]]


def _places(root: str | None, override: str | None) -> Places:
    """Return the folders to list: those on the command line, otherwise those of the default configuration."""
    if override is not None:
        key, equals, value = override.partition("=")
        if key != "store.root" or not equals or not value:
            raise UserError(f"{printable(override)}: not understood; expected store.root=DIR, or --root DIR")
        if root is not None:
            raise UserError(f"{printable(override)}: --root names a folder already; expected one of the two")
        return Places(_existing(value, "store.root="), None)
    if root is None:
        named = os.environ.get("DCASE_SWEEP_CACHE")
        if named is not None and not named.strip():
            raise UserError("DCASE_SWEEP_CACHE: is empty; expected a folder, or the variable not to be set")
        cache = Path(named or "~/.cache/dcase_sweep").expanduser()
        if os.path.lexists(cache) and not cache.is_dir():
            raise UserError(f"{printable(cache)}: not a folder; expected DCASE_SWEEP_CACHE to name one")
        return Places(cache / "features", cache / "demo")
    folder = _existing(root, "--root ")
    if (folder / "features").is_dir() or (folder / "demo").is_dir():
        return Places(folder / "features", folder / "demo")
    return Places(folder, None)


def _existing(value: str, what: str) -> Path:
    folder = Path(value).expanduser()
    try:
        is_there = folder.is_dir()
    except (OSError, ValueError):
        is_there = False
    if not value.strip() or not is_there:
        raise UserError(f"{what}{printable(value)}: no such folder; expected a cache, or a folder of features")
    return folder


def _entries(places: Places) -> tuple[list["CacheEntry"], list[Path]]:
    from dcase_sweep.data.store.inventory import list_features
    from dcase_sweep.demo.inventory import list_demo

    entries, foreign = list_features(places.features)
    if places.demo is not None:
        recordings, others = list_demo(places.demo)
        entries, foreign = entries + recordings, foreign + others
    return entries, foreign


def _check_names(entries: Sequence["CacheEntry"], data: str | None, project: str | None) -> None:
    """Check that the cache has entries for a name."""
    named = {
        "data": (data, sorted({name for entry in entries for name in entry.data})),
        "project": (project, sorted({name for entry in entries for name in entry.projects})),
    }
    for option, (value, known) in named.items():
        if value is not None and value not in known:
            expected = f"expected one of {', '.join(map(printable, known[:8]))}" if known else "none is known"
            raise UserError(f"--{option} {printable(value)}: nothing in the cache is of it; {expected}")


def choose(
    entries: Sequence["CacheEntry"],
    *,
    older_than: float | None = None,
    keep: float | None = None,
    data: str | None = None,
    project: str | None = None,
    now: float | None = None,
) -> list["CacheEntry"]:
    """Select the entries to remove.

    Args:
        entries: all entries of the cache.
        older_than: seconds since the last use.
        keep: bytes that may remain; the least recently used entries are removed first.
        data: the name of a data set.
        project: a working directory; selects entries that were used only there.
        now: current time in seconds since 1970.
    """
    useless = [entry for entry in entries if entry.kind in ("earlier", "rest")]
    rest = [entry for entry in entries if entry.kind not in ("earlier", "rest")]
    if older_than is None and keep is None and data is None and project is None:
        return useless
    before = math.inf if older_than is None else (time.time() if now is None else now) - older_than
    matching = [
        entry
        for entry in sorted(rest, key=lambda entry: entry.used)
        if entry.used < before
        and (data is None or data in entry.data)
        and (project is None or set(entry.projects) == {project})
    ]
    if keep is None:
        # Tables of hashes are small and useful for all remaining entries. They are removed only by age.
        return useless + [entry for entry in matching if entry.kind != "hashes" or older_than is not None]
    chosen, left = [], sum(entry.size for entry in rest)
    for entry in matching:
        if left > keep:
            chosen.append(entry)
            left -= entry.size
    return useless + chosen


def _prune(
    entries: Sequence["CacheEntry"], chosen: Sequence["CacheEntry"], *, dry_run: bool, keep: float | None
) -> None:
    from dcase_sweep.data.store.inventory import remove

    total = sum(entry.size for entry in entries)
    removals = []
    for entry in chosen:
        removal = remove(entry, dry_run=dry_run)
        removals.append(removal)
        what = removal.reason or ("would be removed" if dry_run else "removed")
        print(f"{format_bytes(entry.size):>9}  {describe_entry(entry)}: {what}")
    gone = [removal.entry for removal in removals if removal.reason is None]
    kept = len(removals) - len(gone)
    freed = sum(entry.size for entry in gone)
    would = "would be freed" if dry_run else "freed"
    left = f"{format_bytes(total - freed)} left" + (f"; {kept} kept, in use or not removable" if kept else "")
    print(f"{format_bytes(freed)} {would} ({pluralize(len(gone), 'item')}), {left}")
    if keep is not None and total - freed > keep and not dry_run:
        print(f"more than {format_bytes(keep)} is left: the rest is in use or was not chosen")
