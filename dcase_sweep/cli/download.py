"""``download``: download a public data set into the layout that its loader expects."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcase_sweep.cli.parser import OneLineParser
from dcase_sweep.data.download import JOBS
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError, free_bytes
from dcase_sweep.utils.machine import format_bytes
from dcase_sweep.utils.text_table import format_table, terminal_width

if TYPE_CHECKING:
    from dcase_sweep.data.download.catalogue import Archive, DataSet
    from dcase_sweep.data.download.job import DownloadResult
    from dcase_sweep.data.download.missing import ListedClips
    from dcase_sweep.data.download.state import State

PROG = "python -m dcase_sweep download"
DESCRIPTION = """\
Download a public data set into the folder ROOT. Use it with data.root=ROOT.

  tau2020  TAU Urban Acoustic Scenes 2020 Mobile, development set, for task=1a
  desed    soundscapes and tables of DESED, for task=4; no archive contains its
           clips from AudioSet, and the missing ones are listed
  esc50    ESC-50, for data=folder

Each archive is compared with its published digest, unpacked and removed. After an
interruption, repeat the command to continue. The exit code is 1 if an archive could
not be downloaded; the others are unpacked."""
EPILOG = f"""\
examples:
  {PROG} tau2020 /path/to/TAU --list
  {PROG} tau2020 /path/to/TAU
  {PROG} esc50 /path/to/ESC-50 --mirror https://mirror.example.org/esc50"""


def main(arguments: list[str]) -> int:
    """Download a data set; return 0 if all its archives are unpacked.

    Raises:
        UserError: for an invalid option, or an unusable disk or server.
    """
    options = _parser().parse_args(arguments)

    from dcase_sweep.data.download.catalogue import find_data_set
    from dcase_sweep.data.download.job import describe, download
    from dcase_sweep.data.download.state import State
    from dcase_sweep.data.download.transfer import Transfer
    from dcase_sweep.utils.signals import Interrupted, interruptible

    data_set = find_data_set(options.data_set)
    root = Path(os.path.abspath(options.root.expanduser()))
    if root.exists() and not root.is_dir():
        raise UserError(f"{options.root}: a file; expected a folder for the data set")
    state = State(root)
    if options.list:
        _list(data_set, state, options)
        return 0
    try:
        with interruptible():
            from dcase_sweep.cli.download_display import show_download

            described = describe(data_set, Transfer(), options.mirror)
            with show_download(described, state) as display:
                result = download(
                    described,
                    root,
                    jobs=options.jobs,
                    keep_archives=options.keep_archives,
                    mirror=options.mirror,
                    on_progress=display.update,
                )
    except Interrupted as interrupted:
        print("interrupted; the same command continues", file=sys.stderr)
        return interrupted.exit_code
    _conclude(result, state if options.keep_archives else None)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=PROG,
        usage=f"{PROG} tau2020|desed|esc50 ROOT [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("data_set", metavar="tau2020|desed|esc50", help="the data set")
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder for the data set; created if it does not exist")
    parser.add_argument("--list", action="store_true", help="only list the archives, their sizes and their state")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=JOBS, help=f"number of simultaneous downloads (default: {JOBS})"
    )
    parser.add_argument("--keep-archives", action="store_true", help="keep the archives after unpacking")
    parser.add_argument(
        "--mirror", metavar="URL|FOLDER", help="location of all archives, instead of the authors' servers"
    )
    return parser


def _list(data_set: "DataSet", state: "State", options: argparse.Namespace) -> None:
    """Print the archives, the downloaded part of each, and the disk space that the others need."""
    from dcase_sweep.cli.download_display import short_names
    from dcase_sweep.data.download.disk_space import needed_bytes
    from dcase_sweep.data.download.job import describe, local_folder
    from dcase_sweep.data.download.transfer import RetryPolicy, Transfer

    try:
        data_set = describe(data_set, Transfer(retry_policy=RetryPolicy(attempts=1, unanswered=1)), options.mirror)
    except UserError as error:  # the list is useful without sizes too
        print(f"note: {error}", file=sys.stderr)
    print(f"{data_set.title}\n{data_set.page} ({data_set.licence})\n")
    names = short_names(data_set)
    rows = [
        ["?" if archive.size is None else format_bytes(archive.size), names[archive.name], _state(archive, state)]
        for archive in data_set.archives
    ]
    total = sum(archive.size or 0 for archive in data_set.archives)
    known = all(archive.size is not None for archive in data_set.archives)
    count = pluralize(len(data_set.archives), "archive")
    unpacked = f"{count}, about {format_bytes(data_set.unpacked)} unpacked"
    rows.append([format_bytes(total) if known else "?", unpacked, ""])
    titles = ["size", "archive", "downloaded"]
    print(format_table([titles, *rows], left={1, 2}, whole={1}, width=terminal_width(), ruled=(1, -1)))
    if known:
        is_local = local_folder(options.mirror) is not None
        needed = needed_bytes(
            data_set, state, jobs=options.jobs, keep_archives=options.keep_archives, is_local=is_local
        )
        print(f"\nneeds {format_bytes(needed)}; {format_bytes(free_bytes(state.root))} free in {state.root}")


def _state(archive: "Archive", state: "State") -> str:
    if state.is_unpacked(archive):
        return "unpacked"
    held = state.held(archive)
    if not held:
        return ""
    return f"{format_bytes(held)} here" if not archive.size else f"{min(1.0, held / archive.size):.0%} here"


def _conclude(result: "DownloadResult", kept: "State | None") -> None:
    """Print the location of the data set, the missing clips, and a command that uses it."""
    print(f"{result.data_set.title}: {pluralize(len(result.data_set.archives), 'archive')} in {result.root}")
    if kept is not None:
        print(f"archives in {kept.folder}")
    missing = [clips for clips in result.clips if clips.missing]
    if missing:
        _describe_missing(missing, result.root)
    print(f"\n{result.command}")


def _describe_missing(missing: "Sequence[ListedClips]", root: Path) -> None:
    print("\nmissing clips, which no archive contains because they are from AudioSet:\n")
    rows = [[f"{clips.missing:,}", f"{clips.listed:,}", str(clips.folder.relative_to(root))] for clips in missing]
    print(format_table([["missing", "listed", "folder"], *rows], left={2}, whole={2}, width=terminal_width()))
    print("\nThey are listed in missing_files/. The package desed downloads many of them")
    print("(https://github.com/turpaultn/DESED); docs/how-to/download.md has other sources.")
    print("An experiment needs some of them in each folder, but not all:")
