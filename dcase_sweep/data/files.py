"""Checks of audio files before features are computed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.audio.reading import AudioProblem, inspect_audio, read_waveform
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable


@dataclass(frozen=True, slots=True)
class KnownFile:
    """The known state of a file that need not be read again; ``problem`` is None if it can be used."""

    problem: str | None


#: For larger files (bytes) the header is read first, because reading the content may take seconds.
_LARGE = 64 * 2**20

#: Takes a root and names of files under it, and returns one line for each file that cannot be used.
FileCheck = Callable[[Path, Sequence[str]], list[str]]


def require_root(root: str | None, what: str) -> Path:
    """Return ``data.root`` as a path.

    Args:
        root: value of the key.
        what: the recordings that are in the folder, for the message.

    Raises:
        UserError: if it is not set.
    """
    if root is None:
        raise UserError(f"data.root is not set; expected the folder of {what}: data.root=/path/to/it")
    return Path(root).expanduser()


def suggest_inner_root(root: Path, *names: str) -> str:
    """Return a hint if a folder in the root has these files or folders, as after unpacking; empty otherwise."""
    inner = [path for path in sorted(root.glob("*/")) if all((path / name).exists() for name in names)]
    return f"; did you mean data.root={printable(inner[0])}?" if len(inner) == 1 else ""


def check_headers(root: Path, names: Sequence[str]) -> list[str]:
    """Find files that are missing, empty, truncated or not audio, from their headers."""
    return _problems(root, names, lambda name: inspect_audio(root / name), workers=1, on_progress=None)


def check_samples(
    root: Path,
    names: Sequence[str],
    *,
    sample_rate: int,
    seconds: float,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
    known: Callable[[str], KnownFile | None] = lambda name: None,
) -> list[str]:
    """Find the same, and files whose samples are silent, not finite or cannot be decoded.

    Every file is read unless ``known`` returns its state. The header of a large file is read first.
    """

    def look(name: str) -> None:
        if _is_large(root / name):
            inspect_audio(root / name)
        before = known(name)
        if before is None:
            read_waveform(root / name, sample_rate=sample_rate, seconds=seconds)
        elif before.problem is not None:
            raise AudioProblem(before.problem)

    return _problems(root, names, look, workers=workers, on_progress=on_progress)


def _is_large(path: Path) -> bool:
    try:
        return path.stat().st_size > _LARGE
    except (OSError, ValueError):
        return False


def _problems(
    root: Path,
    names: Sequence[str],
    look: Callable[[str], object],
    *,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> list[str]:
    def problem(name: str) -> str | None:
        try:
            look(name)
        except AudioProblem as found:
            return f"{printable(root / name)}: {found.listed}"
        return None

    problems = []
    with ThreadPoolExecutor(workers) as pool:
        for done, found in enumerate(pool.map(problem, names), start=1):
            if found:
                problems.append(found)
            if on_progress:
                on_progress(done, len(names))
    return problems
