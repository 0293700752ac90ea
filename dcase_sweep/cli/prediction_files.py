"""The files that ``predict`` writes: one table, or a label track or a figure for each recording."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TextIO

from dcase_sweep.cli.written_predictions import WrittenTable, columns_of_line, read_written, split_table
from dcase_sweep.inference.sources import Source
from dcase_sweep.inference.tables import FORMATS, Format, TableFormat
from dcase_sweep.tasks.protocols import Prediction
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from dcase_sweep.inference.figures import Spectrogram


class Output:
    """An output for predictions. Each prediction is written immediately, so that an interruption loses none."""

    def __init__(self, form: Format, segments: bool) -> None:
        self._form = form
        self._segments = segments
        self.written = 0

    @property
    def progress(self) -> str:
        """A line about the predictions written so far, for an interruption."""
        return f"{pluralize(self.written, 'recording')} written"

    def remaining(self, sources: Sequence[Source]) -> Sequence[Source]:
        """Return the recordings that have not been predicted yet."""
        return sources

    def write(self, name: str, prediction: Prediction, classes: tuple[str, ...]) -> None:
        """Write one recording."""
        table = TableFormat(self._form, classes, self._segments)
        self._write(name, table.header(prediction), table.lines(name, prediction))
        self.written += 1

    def _write(self, name: str, header: str, lines: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close the file, if there is one."""


class StandardOutput(Output):
    """A table, or the label track of the only recording, on standard output."""

    def _write(self, name: str, header: str, lines: str) -> None:
        sys.stdout.write(lines if self.written else header + lines)
        sys.stdout.flush()


class TableFile(Output):
    """One file for all recordings.

    Args:
        path: path of the file.
        go_on: whether to continue an existing file with its last recording, whose rows may be incomplete.
    """

    def __init__(self, path: Path, form: Format, segments: bool, go_on: bool) -> None:
        super().__init__(form, segments)
        self._path = path
        self._handle: TextIO | None = None
        written = read_written(path, form) if go_on and path.is_file() else WrittenTable()
        self._kept, self._last, self._columns = written.kept, written.last, written.columns

    @property
    def progress(self) -> str:
        return f"{pluralize(self.written, 'recording')} written to {self._path}; --continue predicts the others"

    def remaining(self, sources: Sequence[Source]) -> Sequence[Source]:
        if self._last is None:
            return sources
        names = [source.name for source in sources]
        if self._last not in names:
            raise UserError(
                f"{self._path}: ends with {printable(self._last)}, which is not one of these recordings; expected the "
                "recordings of the interrupted command, or no --continue"
            )
        return sources[names.index(self._last) :]

    def _write(self, name: str, header: str, lines: str) -> None:
        if self._handle is None:
            self._check_columns(header, lines)
            self._handle = self._open()
            if self._kept:
                header = ""
        self._handle.write(lines if self.written else header + lines)
        self._handle.flush()

    def _check_columns(self, header: str, lines: str) -> None:
        """Refuse to continue the table of another model, or one with other rows.

        Raises:
            UserError: if its columns differ from those of this command.
        """
        if self._columns is None:
            return
        found = columns_of_line(lines) if self._form == "jsonl" else split_table(header, self._form)[0]
        if found != self._columns:
            raise UserError(
                f"{self._path}: its columns are {printable(', '.join(self._columns), 100)}; expected "
                f"{printable(', '.join(found), 100)}: continue with the same model and options, or leave out --continue"
            )

    def _open(self) -> TextIO:
        if self._last is not None:
            write_text(self._path, self._kept)
            return self._path.open("a", encoding="utf-8", newline="")
        return self._path.open("w", encoding="utf-8", newline="")

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()


class LabelTracks(Output):
    """A label track of Audacity for each recording, in a folder."""

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        super().__init__("audacity", False)
        self._folder = folder
        self._paths = name_files(folder, sources, ".txt")

    def _write(self, name: str, header: str, lines: str) -> None:
        path = self._paths[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, lines)


def open_output(options: argparse.Namespace, sources: Sequence[Source]) -> Output:
    """Return the output of a command.

    Raises:
        UserError: for an output that cannot be written, or not for this number of recordings.
    """
    is_named = options.output is not None and str(options.output) != "-"
    path: Path | None = options.output.expanduser() if is_named else None
    known = FORMATS.get(path.suffix.lower()) if path is not None and not path.is_dir() else None
    form: Format = options.format or known or ("csv" if path is None or path.suffix else "audacity")
    if path is not None and options.format is None and known is None and path.suffix and not path.is_dir():
        raise UserError(f"{path}: unknown format; expected .csv, .tsv or .jsonl, or --format")
    if options.go_on and (path is None or form == "audacity"):
        raise UserError("--continue: nothing to continue; expected -o and the table of the interrupted command")
    if form == "audacity":
        return _open_tracks(path, sources)
    if path is None:
        return StandardOutput(form, options.segments)
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path}: cannot be written; expected the name of a file in a folder that exists")
    _check_not_read(path, [options.run, *(source.path for source in sources)])
    return TableFile(path, form, options.segments, options.go_on)


def _check_not_read(path: Path, read: Iterable[str | Path]) -> None:
    """Refuse to replace a file that the command reads.

    Raises:
        UserError: if the output is one of the files.
    """
    if not path.exists():
        return
    for each in read:
        file = Path(each).expanduser()
        if file.exists() and path.samefile(file):
            raise UserError(f"{path}: is read by this command; expected another file for its output")


def _open_tracks(path: Path | None, sources: Sequence[Source]) -> Output:
    is_file = path is not None and path.suffix.lower() == ".txt" and not path.is_dir()
    if len(sources) > 1 and (path is None or is_file):
        raise UserError(f"audacity: a label track is for one recording, found {len(sources)}; expected -o FOLDER")
    if path is None:
        return StandardOutput("audacity", False)
    if is_file:
        return TableFile(path, "audacity", False, False)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: a file; expected a folder for label tracks")
    return LabelTracks(path, sources)


def name_files(folder: Path, sources: Sequence[Source], suffix: str) -> dict[str, Path]:
    """Return the path of a file for each usable recording, named after the recording and inside the folder.

    Raises:
        UserError: if two recordings have the same name.
    """
    paths: dict[str, Path] = {}
    taken: dict[Path, str] = {}
    for source in sources:
        if source.problem is not None:
            continue
        name = PurePath("stdin" if source.name == "-" else source.name)
        inside = PurePath(name.name) if name.is_absolute() or ".." in name.parts or name.parts[0] == "~" else name
        path = folder / inside.with_suffix(suffix)
        if path in taken:
            raise UserError(
                f"{printable(taken[path])} and {printable(source.name)} would both be {path}; predict them into "
                "different folders"
            )
        paths[source.name], taken[path] = path, source.name
    return paths


@dataclass(frozen=True, slots=True)
class Figures:
    """A figure of each recording, in a folder."""

    paths: dict[str, Path]

    @classmethod
    def into(cls, folder: Path | None, sources: Sequence[Source]) -> "Figures | None":
        """Return an output for figures in a folder; None if no folder is given.

        Raises:
            UserError: if the folder is a file, or two figures would have the same name.
        """
        if folder is None:
            return None
        folder = folder.expanduser()
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--figures {folder}: a file; expected a folder")
        return cls(name_files(folder, sources, ".png"))

    def begin(self, front_end: Any, seconds: float | None) -> "Spectrogram":
        """Return a collector for the spectrogram of a recording."""
        from dcase_sweep.inference.figures import Spectrogram

        return Spectrogram(front_end, seconds)

    def draw(
        self, source: Source, prediction: Prediction, classes: tuple[str, ...], spectrogram: "Spectrogram"
    ) -> None:
        """Draw and save the figure of one recording."""
        from dcase_sweep.evaluation.figures import save_figure
        from dcase_sweep.inference.figures import draw_prediction

        path = self.paths[source.name]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(draw_prediction(source.name, prediction, classes, spectrogram), path)
