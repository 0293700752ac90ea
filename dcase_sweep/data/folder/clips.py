"""A folder of your own recordings with one label per recording."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dcase_sweep.audio.files import AUDIO_SUFFIXES, UNREADABLE_SUFFIXES
from dcase_sweep.data.files import FileCheck, check_headers, require_root
from dcase_sweep.data.folder.assignment import SplitSettings, assign_splits
from dcase_sweep.data.folder.class_folders import read_folders
from dcase_sweep.data.folder.columns import CLIP_ALIASES, check_names
from dcase_sweep.data.folder.files import AudioFiles, find_files
from dcase_sweep.data.folder.tables import (
    ClipLabels,
    ClipRow,
    find_label_tables,
    locate_table,
    read_clip_table,
)
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.text import printable

log = logging.getLogger(__name__)


class ClipFolder:
    """Recordings under ``root``, each of one class: with a folder for each class, or with a table.

    The table has a row for each recording with its name and label and, optionally, its split, group, device and fold.
    All recordings of a group are in the same split. If the table has no splits and no folds, they are created,
    stratified by class and by whole groups.

    Args:
        root: folder of the recordings.
        name: name of the data set; None = name of the folder.
        table: path of the table; None = the table under ``root`` with names and labels or, without one, the folders.
        columns: content (``filename``, ``label``, ``split``, ``group``, ``device``, ``fold``) → column of the table;
            None = a common name of this column, false = no column.
        fold: the fold that is the test split: a fold of the table, or a number from 1 to ``folds``. None = the first of
            the table.
        folds: number of folds to create if ``fold`` is set and the table has no folds.
        test_fraction: fraction of the clips of each class for the test split, if it is not specified otherwise.
        validation_fraction: fraction of the remaining clips of each class for the validation split.
        split_seed: seed of created splits and folds.
        skip_invalid: whether to skip files that are missing or cannot be read instead of raising an error.
    """

    kind = "scenes"

    def __init__(
        self,
        *,
        root: str | None,
        name: str | None = None,
        table: str | None = None,
        columns: dict[str, str | bool | None] | None = None,
        fold: int | str | None = None,
        folds: int = 5,
        test_fraction: float = 0.2,
        validation_fraction: float = 0.1,
        split_seed: int = 0,
        skip_invalid: bool = False,
    ) -> None:
        self.root = require_root(root, "your recordings")
        self.name = name or self.root.resolve().name or "folder"
        self.table = table
        self.columns = check_names(columns or {}, CLIP_ALIASES)
        self.splits = SplitSettings(fold, folds, test_fraction, validation_fraction, split_seed)
        self.skip_invalid = skip_invalid

    def load(self, *, check: FileCheck = check_headers) -> SceneData:
        """Find the recordings, read their labels, split them and check every file.

        Args:
            check: returns the problems of files, given the root and their names.

        Raises:
            UserError: if the root or the table is missing, or there are several tables.
            DataError: with all problems of the tables and files.
        """
        problems: list[str] = []
        audio = find_recordings(self.root, problems)
        labels = self._read_labels(audio, problems)
        rows = sorted(labels.rows, key=lambda row: row.filename)
        problems += _check_classes(rows, labels.source)
        if not rows:
            raise DataError(problems)
        splits = assign_splits(
            [(row.label,) for row in rows],
            [row.group for row in rows],
            [row.split for row in rows],
            [row.fold for row in rows],
            [row.where for row in rows],
            self.splits,
            labels.source,
            problems,
            is_strict=labels.names_groups,
        )
        if not self.skip_invalid:  # otherwise the feature store finds them, counts them and continues
            problems += check(self.root, [row.filename for row in rows])
        if splits is None or problems:
            raise DataError(problems)
        notes = [("labels", labels.description), *_describe_rest(audio, labels), ("split", splits.description)]
        notes += [("leak", splits.leak)] if splits.leak else []
        return SceneData(
            name=self.name,
            root=self.root,
            recordings=tuple(
                SceneRecording(row.filename, row.label, "", row.group or row.filename, row.device) for row in rows
            ),
            classes=tuple(sorted({row.label for row in rows})),
            train=splits.train,
            validation=splits.validation,
            test=splits.test,
            notes=tuple(notes),
        )

    def _read_labels(self, audio: AudioFiles, problems: list[str]) -> ClipLabels:
        table = self._find_table()
        if table is None:
            if any(self.columns.values()):
                key, column = next((key, column) for key, column in self.columns.items() if column)
                raise UserError(
                    f"data.columns.{key}={printable(column, 80)}: no table under {self.root} has this column, names "
                    "and labels; expected data.table=TABLE"
                )
            return read_folders(self.root, audio, problems)
        return read_clip_table(self.root, table, audio, self.columns, problems, skip=self.skip_invalid)

    def _find_table(self) -> Path | None:
        if self.table is not None:
            return locate_table(self.root, self.table)
        found = find_label_tables(self.root, self.columns, CLIP_ALIASES, [("filename", "label")])
        if len(found) > 1:
            raise UserError(
                f"data.root={self.root}: {len(found)} tables with names and labels: {printable(', '.join(found))}; "
                "select one, for example data.table=" + found[0]
            )
        return self.root / found[0] if found else None


def find_recordings(root: Path, problems: list[str]) -> AudioFiles:
    """Find all recordings under a folder.

    Raises:
        UserError: if there is no such folder, or no recording in it.
        DataError: if no recording has a usable name.
    """
    if not root.is_dir():
        raise UserError(f"data.root={root}: no such folder; expected the folder of your recordings")
    found = find_files(root, (*AUDIO_SUFFIXES, *UNREADABLE_SUFFIXES), problems, on_error=_report_folder)
    names = [name for name in found if name.lower().endswith(AUDIO_SUFFIXES)]
    audio = AudioFiles(names, sorted({*found} - {*names}))
    if not names and problems:
        raise DataError(problems)
    if not names:
        others = f", but {describe_unreadable(audio)}" if audio.unreadable else ""
        suffixes = ", ".join(sorted(AUDIO_SUFFIXES))
        raise UserError(f"data.root={root}: contains no recordings{others}; expected files that end in {suffixes}")
    return audio


def describe_unreadable(audio: AudioFiles) -> str:
    """Describe the recordings of formats that libsndfile cannot read."""
    suffixes = sorted({Path(name).suffix.lower() for name in audio.unreadable})
    count = pluralize(len(audio.unreadable), "file")
    return f"{count} that libsndfile cannot read ({', '.join(suffixes)}); convert to WAV or FLAC"


def _report_folder(error: OSError) -> None:
    log.warning(f"left out  {printable(error.filename)}: {error.strerror}")


def _check_classes(rows: Sequence[ClipRow], source: str) -> list[str]:
    classes: Mapping[str, int] = Counter(row.label for row in rows)
    if len(classes) == 1:
        return [f"{source}: all recordings are of the class {next(iter(classes))}; expected at least two classes"]
    return []


def _describe_rest(audio: AudioFiles, labels: ClipLabels) -> list[tuple[str, str]]:
    """Describe recordings without a label, and rows of the table without a recording."""
    notes = [("left out", describe_unreadable(audio))] if audio.unreadable else []
    rest = len(audio.names) - len(labels.rows)
    if rest > 0:
        notes.append(("left out", f"{pluralize(rest, 'recording')} without a label"))
    if labels.missing:
        notes.append(("missing", f"{pluralize(labels.missing, 'row')} of the table without a file on disk"))
    return notes
