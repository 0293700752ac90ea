"""Measurements of every recording of a data set."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.audio.levels import Levels, measure_levels
from dcase_sweep.audio.problems import SILENCE
from dcase_sweep.audio.reading import AudioProblem
from dcase_sweep.data.store.opening import get_contents


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured recording.

    Attributes:
        name: path relative to the root of the data set.
        levels: its levels; None if it cannot be read.
        problem: why it cannot be used, without its name; None if it can.
        digest: hash of its content; None if it cannot be read.
    """

    name: str
    levels: Levels | None
    problem: str | None
    digest: bytes | None


def measure_recordings(
    root: Path,
    names: Sequence[str],
    *,
    store_root: Path,
    workers: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> list[Measured]:
    """Read every recording for its levels and for its hash, which is saved for the feature store.

    Args:
        root: folder of the recordings.
        names: paths of the recordings, relative to the root.
        store_root: folder of the feature stores.
        workers: number of threads.
        on_progress: called with the number of recordings read so far.
    """
    contents = get_contents(root, store_root)

    def measure(name: str) -> Measured:
        try:
            levels = measure_levels(root / name)
        except AudioProblem as problem:
            return Measured(name, None, problem.listed, contents.digest(name))
        silent = "silent from beginning to end; expected a recording" if levels.peak < SILENCE else None
        return Measured(name, levels, silent, contents.digest(name))

    found = []
    with ThreadPoolExecutor(workers) as pool:
        for done, each in enumerate(pool.map(measure, names), start=1):
            found.append(each)
            if on_progress:
                on_progress(done)
    contents.save()
    return found


def find_copies(recordings: Sequence[Measured]) -> list[list[str]]:
    """Return groups of names of recordings with the same content."""
    by_digest: dict[bytes, list[str]] = defaultdict(list)
    for each in recordings:
        if each.digest is not None:
            by_digest[each.digest].append(each.name)
    return [names for names in by_digest.values() if len(names) > 1]
