"""TAU Urban Acoustic Scenes 2020 Mobile, and any data set that is laid out like it."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcase_sweep.data.files import FileCheck, check_headers
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.data.splits import hold_out_locations
from dcase_sweep.errors import DataError, UserError

META = "meta.csv"


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a table and where it stands."""

    number: int
    values: dict[str, str]


class TAU:
    """Scene recordings under ``root`` as Zenodo record 3819968 lays them out.

    ``meta.csv`` (tab-separated: filename, scene_label, identifier, source_label) and
    ``evaluation_setup/fold<fold>_{train,evaluate}.csv``; the identifier is ``city-location``. Labels come from the
    metadata. The validation split is ``validation_share`` of the training clips, by location and balanced by city as
    in the baseline system, or the training rows that ``validation_list`` (a table with a filename column) names.
    """

    kind = "scenes"

    def __init__(
        self,
        *,
        name: str,
        root: str | None,
        fold: int = 1,
        validation_share: float = 0.3,
        validation_seed: int = 0,
        validation_list: str | None = None,
        skip_invalid: bool = False,
    ) -> None:
        if root is None:
            raise UserError(f"data.root is not set; say where {name} lies: data.root=/path/to/it")
        if not 0 < validation_share < 1:
            raise UserError(f"data.validation_share={validation_share}: expected a share between 0 and 1")
        self.name = name
        self.root = Path(root).expanduser()
        self.fold = fold
        self.validation_share = validation_share
        self.validation_seed = validation_seed
        self.validation_list = validation_list
        self.skip_invalid = skip_invalid

    def load(self, *, check: FileCheck = check_headers) -> SceneData:
        """Read the tables and check every listed file.

        Args:
            check: what finds problems of files, given the root and their names.

        Raises:
            UserError: if the root or a table is not there.
            DataError: with every problem of the tables and of the files.
        """
        if not self.root.is_dir():
            raise UserError(f"data.root={self.root}: no such folder; expected one that holds {META} and audio/")
        problems: list[str] = []
        known = self._recordings(problems)
        train = self._listed("train", known, problems)
        test = self._listed("evaluate", known, problems)
        problems += _overlaps(train, test, known)
        filenames = sorted({*train, *test} & known.keys())
        if not self.skip_invalid:  # otherwise the store finds them again, counts them and goes on
            problems += check(self.root, filenames)
        if problems:
            raise DataError(problems)
        return self._split([known[filename] for filename in filenames], set(train), set(test))

    def _table(self, relative: str, columns: Iterable[str]) -> list[_Row]:
        path = self.root / relative
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected TAU's table with {', '.join(columns)}")
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            found = reader.fieldnames or []
            missing = [column for column in columns if column not in found]
            if missing:
                raise UserError(
                    f"{path}: no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}; "
                    "expected a tab-separated table"
                )
            return [_Row(number, row) for number, row in enumerate(reader, start=2)]

    def _recordings(self, problems: list[str]) -> dict[str, SceneRecording]:
        """Every row of the metadata by filename."""
        known: dict[str, SceneRecording] = {}
        first: dict[str, int] = {}
        for row in self._table(META, ("filename", "scene_label", "identifier", "source_label")):
            filename, label = row.values["filename"], row.values["scene_label"]
            identifier, device = row.values["identifier"], row.values["source_label"]
            where = f"{self.root / META}, row {row.number}"
            if not (filename and label and identifier and device):
                problems.append(f"{where}: an empty cell; expected filename, scene_label, identifier, source_label")
                continue
            if filename in first:
                problems.append(f"{where}: {filename} is also in row {first[filename]}; expected each file once")
                continue
            first[filename] = row.number
            known[filename] = SceneRecording(filename, label, identifier.split("-")[0], identifier, device)
        return known

    def _listed(self, part: str, known: dict[str, SceneRecording], problems: list[str]) -> dict[str, int]:
        """Row number of each file that a list of the fold names."""
        relative = f"evaluation_setup/fold{self.fold}_{part}.csv"
        labels = {recording.scene_label for recording in known.values()}
        listed: dict[str, int] = {}
        for row in self._table(relative, ("filename", "scene_label")):
            where = f"{self.root / relative}, row {row.number}"
            filename, label = row.values["filename"], row.values["scene_label"]
            if filename in listed:
                problems.append(f"{where}: {filename} is also in row {listed[filename]}; expected each file once")
            elif filename not in known:
                problems.append(f"{where}: {filename} is not in {META}; expected a row there with its label and device")
            elif label not in labels:
                problems.append(f"{where}: unknown label {label!r}; expected one of {', '.join(sorted(labels))}")
            elif label != known[filename].scene_label:
                problems.append(f"{where}: label {label!r}, but {META} says {known[filename].scene_label!r}")
            listed.setdefault(filename, row.number)
        return listed

    def _split(self, recordings: list[SceneRecording], train: set[str], test: set[str]) -> SceneData:
        learned = np.array([i for i, r in enumerate(recordings) if r.filename in train], dtype=np.int64)
        judged = np.array([i for i, r in enumerate(recordings) if r.filename in test], dtype=np.int64)
        classes = tuple(sorted({recordings[index].scene_label for index in learned}))
        unseen = sorted({recordings[index].scene_label for index in judged} - set(classes))
        if unseen:
            raise UserError(f"{self.root}: test clips of {', '.join(unseen)}, of which there is no training clip")
        if self.validation_list is None:
            held_out = hold_out_locations(recordings, learned, share=self.validation_share, seed=self.validation_seed)
        else:
            held_out = self._held_out_by_list(recordings, learned)
        if len(held_out) == 0:
            raise UserError(
                f"{self.root}: no location can be held out for validation, since every scene has one location only"
            )
        return SceneData(
            name=self.name,
            root=self.root,
            recordings=tuple(recordings),
            classes=classes,
            train=np.setdiff1d(learned, held_out),
            validation=held_out,
            test=judged,
        )

    def _held_out_by_list(self, recordings: list[SceneRecording], learned: np.ndarray) -> np.ndarray:
        assert self.validation_list is not None
        position = {recordings[index].filename: int(index) for index in learned}
        relative, problems, held_out = self.validation_list, [], []
        for row in self._table(relative, ("filename",)):
            filename = row.values["filename"]
            if filename in position:
                held_out.append(position[filename])
            else:
                problems.append(f"{self.root / relative}, row {row.number}: {filename} is not a training clip")
        chosen = set(held_out)
        places = {recordings[index].location for index in learned if int(index) not in chosen}
        for index in sorted(chosen):
            if recordings[index].location in places:
                problems.append(
                    f"{self.root / relative}: {recordings[index].filename} is held out, but other clips of its "
                    f"location {recordings[index].location} are trained on; hold out whole locations"
                )
        if problems:
            raise DataError(problems)
        return np.array(sorted(chosen), dtype=np.int64)


def _overlaps(train: dict[str, int], test: dict[str, int], known: dict[str, SceneRecording]) -> list[str]:
    """Files and places that are both learned from and judged by."""
    problems = [
        f"{filename}: in the training list (row {train[filename]}) and in the test list (row {test[filename]}); "
        "expected it in one"
        for filename in train
        if filename in test
    ]
    places = {(known[name].scene_label, known[name].location): name for name in train if name in known}
    seen = set()
    for name in test:
        place = (known[name].scene_label, known[name].location) if name in known else None
        if place in places and place not in seen and name not in train:
            seen.add(place)
            problems.append(
                f"location {place[1]} of {place[0]}: trained on ({places[place]}) and tested on ({name}); "
                "expected a location in one split"
            )
    return problems
