"""The recordings of an evaluation set, in the order in which a submission lists them."""

from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.audio.problems import AudioProblem
from dcase_sweep.audio.reading import inspect_audio
from dcase_sweep.inference.sources import list_recordings
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.tables import check_paths, read_table, stored_name, tidy_path
from dcase_sweep.utils.text import describe_unprintable, natural, printable

#: The list of recordings in TAU's evaluation set.
_LISTS = ("evaluation_setup/fold1_test.csv", "evaluation_setup/test.csv")
_EXPECTED = "the folder of the evaluation set"


@dataclass(frozen=True, slots=True)
class EvaluationRecording:
    """A recording of the evaluation set.

    Attributes:
        filename: name in output files.
        path: path of the file.
        seconds: length of the recording.
    """

    filename: str
    path: Path
    seconds: float


def find_recordings(folder: Path, table: Path | None = None) -> list[EvaluationRecording]:
    """Find the recordings of an evaluation set, and check their headers.

    Args:
        folder: the folder of the set, or of its audio files.
        table: a list of them with the column ``filename``; None = TAU's own list if the folder has it, else all
            recordings in the folder, numbers in their names by value.

    Returns:
        The recordings, with names as the challenge uses them: without folders.

    Raises:
        UserError: for a folder without recordings, or an unusable list.
        DataError: for missing files, files without a recording, and duplicate names, one line each.
    """
    if not folder.is_dir():
        raise UserError(f"--recordings {printable(folder)}: no such folder; expected {_EXPECTED}")
    if table is None:
        table = next((folder / name for name in _LISTS if (folder / name).is_file()), None)
    named = _of_table(folder, table) if table is not None else _of_folder(folder)
    problems: list[str] = []
    found, first = [], dict[str, Path]()
    for name, path in named:
        filename = Path(name).name
        if filename in first:
            problems.append(f"{printable(path)}: named as {printable(first[filename])}; expected each name once")
            continue
        first[filename] = path
        if not filename.isprintable():
            problems.append(describe_unprintable(path))
            continue
        try:
            info = inspect_audio(path)
            found.append(EvaluationRecording(filename, path, info.frames / info.sample_rate))
        except AudioProblem as problem:
            problems.append(f"{printable(path)}: {problem.listed}")
    if problems:
        raise DataError(problems)
    return found


def _of_table(folder: Path, table: Path) -> list[tuple[str, Path]]:
    """Return the names and paths of the files in a list without duplicates, which a table of events contains."""
    read = read_table(table, ("filename",), expected="a table with the column filename", may_be_short=True)
    if problems := check_paths(read):
        raise DataError(problems)
    names = [tidy_path(name) for name in dict.fromkeys(read.columns["filename"])]
    if not names:
        raise UserError(f"{table}: a header without rows; expected the recordings of the evaluation set")
    return [(name, _locate(folder, name)) for name in names]


def _locate(folder: Path, name: str) -> Path:
    """Return the path of a name, which may be relative to the set or to its audio files."""
    for each in (name, f"audio/{name}", name.removeprefix("audio/")):
        if (folder / stored_name(folder, each)).is_file():
            return folder / stored_name(folder, each)
    return folder / name


def _of_folder(folder: Path) -> list[tuple[str, Path]]:
    files = list_recordings(folder)
    if not files:
        raise UserError(f"--recordings {printable(folder)}: no recordings there; expected {_EXPECTED}")
    return [(path.relative_to(folder).as_posix(), path) for path in sorted(files, key=lambda path: natural(path.name))]
