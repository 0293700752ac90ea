"""Folders of generated recordings: the marker of a finished generation, and parallel writing."""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import soundfile

from dcase_sweep.demo.rendering import Signal
from dcase_sweep.utils.cpu import usable_cores
from dcase_sweep.utils.errors import UserError, free_bytes, is_disk_full
from dcase_sweep.utils.files import write_text as write_whole_text
from dcase_sweep.utils.leases import hold
from dcase_sweep.utils.machine import format_bytes
from dcase_sweep.utils.small_files import read_object, read_small

MARKER = "generator.json"
README = "README.txt"
#: Bytes of either of them at most.
_LARGEST = 2**16
#: Size of the header of libsndfile's WAV files, and of a sample of each format, bytes.
_HEADER = 44
_SAMPLE = {"PCM_16": 2, "PCM_24": 3}

#: Names allowed in a folder for generated data sets: data sets, their locks, and entries of file systems.
_OWN = re.compile(r"(scenes|soundscapes)(-\d+)+(\.lock)?|\..*|lost\+found")

Task = TypeVar("Task")


@dataclass(frozen=True, slots=True)
class GeneratedFolder:
    """A root with a marker that contains the parameters of the generation, and a README.txt."""

    root: Path
    #: All parameters of the recordings, including the version of the generator.
    parameters: Mapping[str, Any]
    readme: str

    @property
    def is_finished(self) -> bool:
        """Whether a generation with these parameters has finished."""
        return self._marker() == {"complete": True, "parameters": dict(self.parameters)}

    @property
    def is_ours(self) -> bool:
        """Whether the folder was generated."""
        return self._marker() is not None or read_small(self.root / README, _LARGEST) == self.readme

    @property
    def has_other_parameters(self) -> bool:
        """Whether the folder was generated with other parameters, or its marker is damaged."""
        if not self.is_ours or not os.path.lexists(self.root / MARKER):
            return False
        return (self._marker() or {}).get("parameters") != dict(self.parameters)

    def begin(self) -> None:
        """Mark the folder as generated and unfinished; call this before anything in it is written or removed.

        Raises:
            UserError: if the root contains files that were not generated, or is a link.
        """
        if self.root.is_dir():
            self._check_foreign()
        self.root.mkdir(parents=True, exist_ok=True)
        for name in (README, MARKER):
            if not (self.root / name).is_file() and os.path.lexists(self.root / name):
                (self.root / name).unlink()  # for instance a named pipe, which would block writing
        write_text(self.root / README, self.readme)
        self._mark(complete=False)

    def _check_foreign(self) -> None:
        if not self.is_ours and any(self.root.iterdir()):
            raise UserError(f"{self.root}: contains files that were not generated; choose another folder for the demo")
        for path in (self.root, *self.root.iterdir()):
            if path.is_symlink():
                raise UserError(
                    f"{path}: a link to {os.readlink(path)}, where the demo generator would write; expected a folder"
                )

    def finish(self) -> None:
        """Mark the folder as finished."""
        self._mark(complete=True)

    def _mark(self, *, complete: bool) -> None:
        marker = {"complete": complete, "parameters": dict(self.parameters)}
        write_text(self.root / MARKER, json.dumps(marker, indent=2) + "\n")

    def _marker(self) -> dict[str, Any] | None:
        found = read_marker(self.root)
        # A file of this name from another program does not mark a generated folder, whose recordings may be replaced.
        if found is None or set(found) != {"complete", "parameters"}:
            return None
        return found if set(found["parameters"]) == set(self.parameters) else None


def read_marker(root: Path) -> dict[str, Any] | None:
    """Read the marker of a generated folder; None if there is none or it is damaged."""
    found = read_object(root / MARKER, _LARGEST)
    return found if found is not None and isinstance(found.get("parameters"), dict) else None


def generate_once(root: Path, *, is_complete: Callable[[], bool], generate: Callable[[], None]) -> None:
    """Generate a folder if it is not complete, in one process at a time, and lock it against removal.

    A complete folder is only read, also from a read-only disk.

    Raises:
        UserError: if the folder cannot be written to.
    """
    from filelock import FileLock

    if not (is_complete() and hold(root / MARKER)):
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(str(root) + ".lock"):
                if not is_complete():
                    generate()
                hold(root / MARKER)
        except OSError as error:
            if is_disk_full(error):
                raise
            raise UserError(
                f"{error.filename or root}: {error.strerror or error}; the demo's recordings are not complete in "
                f"{root} and cannot be written; set data.root to a writable folder"
            ) from error
    with suppress(OSError):  # records the time of the last use
        os.utime(root / MARKER)


def check_demo_root(root: Path) -> None:
    """Check that a folder for generated data sets contains nothing else.

    The folder in the cache may, because ``data=demo`` of a user's own task has its recordings there too.

    Args:
        root: ``data.root``, each of whose folders contains a generated data set.

    Raises:
        UserError: in one line, with what was found.
    """
    if root.exists() and not root.is_dir():
        raise UserError(f"data.root={root}: a file; expected a folder for the generated recordings")
    try:
        foreign = sorted(path.name for path in root.iterdir() if not _OWN.fullmatch(path.name))
    except FileNotFoundError:
        return
    cache = Path(os.environ.get("DCASE_SWEEP_CACHE") or "~/.cache/dcase_sweep").expanduser()
    if foreign and root.absolute() != cache.absolute() / "demo":
        raise UserError(
            f"data.root={root}: holds {foreign[0]!r}, which the demo generator did not make; expected a new or empty "
            "folder, or data=tau2020 or data=desed for recordings of your own"
        )


def in_parallel(
    work: Callable[[Task], None],
    tasks: Iterable[Task],
    *,
    workers: int | None,
    on_progress: Callable[[int, int], None] | None,
    clips: Callable[[Task], int] = lambda _: 1,
) -> None:
    """Run all tasks in threads, by default one for each core, at most eight.

    `on_progress(done, total)` is called after each task with numbers of clips; `clips` returns the number of clips of a
    task.
    """
    # Threads, not processes: nearly all the time is spent in NumPy, SciPy and libsndfile calls that release the GIL.
    pool = ThreadPoolExecutor(workers or usable_cores(at_most=8), thread_name_prefix="demo")
    try:
        made_by = {pool.submit(work, task): clips(task) for task in tasks}
        done, total = 0, sum(made_by.values())
        for future in as_completed(made_by):
            future.result()
            done += made_by[future]
            if on_progress is not None:
                on_progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def wav_bytes(samples: int, subtype: str) -> int:
    """Return the size in bytes of a mono recording of `write_wav`."""
    return _HEADER + _SAMPLE[subtype] * samples


def check_room(root: Path, needed: int) -> None:
    """Check that the disk has enough space for the recordings, before the first file is written.

    Args:
        root: folder of the recordings; existing ones need no further space.
        needed: size of all recordings in bytes.

    Raises:
        UserError: if not, with the needed and the free space.
    """
    free = free_bytes(root)
    if free >= needed:
        return
    needed -= sum(path.stat().st_size for path in root.rglob("*.wav"))
    if free < needed:
        raise UserError(
            f"{root}: the generated recordings take {format_bytes(needed)}; its disk has {format_bytes(free)} free; "
            "choose fewer clips, or another disk by data.root"
        )


def is_whole(path: Path, *, samples: int, subtype: str) -> bool:
    """Whether a recording has the right size; files are written atomically, so its contents are complete.

    Opening each of hundreds of files would take a tenth of a second of every run.
    """
    return are_whole(path.parent, [path.name], samples=samples, subtype=subtype)


def are_whole(root: Path, names: Iterable[str], *, samples: int, subtype: str) -> bool:
    """Whether all of these recordings under a folder have the right size."""
    size = wav_bytes(samples, subtype)
    try:
        return all(os.stat(os.path.join(root, name)).st_size == size for name in names)
    except OSError:
        return False


def write_wav(path: Path, clip: Signal, *, sample_rate: int, subtype: str) -> None:
    """Write a recording atomically.

    Raises:
        OSError: if writing fails, with the name of the file; libsndfile itself does not report a full disk.
    """
    whole = io.BytesIO()
    soundfile.write(whole, clip, sample_rate, subtype=subtype, format="WAV")
    part = path.with_suffix(".part")
    try:
        part.write_bytes(whole.getbuffer())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write a text atomically, in a folder that is created if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole_text(path, text)


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a tab-separated table."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
