"""TAU Urban Acoustic Scenes 2020 Mobile, and other data sets in the same layout."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.data.files import FileCheck, check_headers, require_root, suggest_inner_root
from dcase_sweep.data.official_split import hold_out_officially
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.data.splits import hold_out_locations
from dcase_sweep.data.tau_tables import META, find_overlaps, read_list, read_recordings, read_rows, report_untested
from dcase_sweep.utils.errors import DataError, UserError

log = logging.getLogger(__name__)

#: Rules for the choice of locations to validate on.
VALIDATION_RULES = ("official", "balanced")


class TAU:
    """Scene recordings under ``root`` in the layout of Zenodo record 3819968.

    The tables are ``meta.csv`` (tab-separated: filename, scene_label, identifier, source_label) and
    ``evaluation_setup/fold<fold>_{train,evaluate}.csv``; the identifier is ``city-location``. Labels come from
    ``meta.csv``. The clips to validate on are whole locations of the training list.

    Args:
        name: name of the data set.
        root: folder of the data set.
        fold: number of the fold.
        validation: rule for the choice of locations to validate on: ``official`` as in the baseline system
            (`hold_out_officially`), or ``balanced``, which is closer to ``validation_fraction`` (`hold_out_locations`).
        validation_fraction: fraction of the locations (``official``) or of the clips (``balanced``) of each scene.
        validation_seed: seed of this choice.
        validation_list: a table under ``root`` with a column of filenames to validate on instead.
        skip_invalid: leave out files that cannot be read instead of refusing them.
    """

    kind = "scenes"
    class_noun = "scene"

    def __init__(
        self,
        *,
        name: str,
        root: str | None,
        fold: int = 1,
        validation: str = "balanced",
        validation_fraction: float = 0.3,
        validation_seed: int = 0,
        validation_list: str | None = None,
        skip_invalid: bool = False,
    ) -> None:
        self.root = require_root(root, name)
        if not 0 < validation_fraction < 1:
            raise UserError(f"data.validation_fraction={validation_fraction}: expected a fraction between 0 and 1")
        if validation not in VALIDATION_RULES:
            raise UserError(f"data.validation={validation}: expected one of {', '.join(VALIDATION_RULES)}")
        self.name = name
        self.fold = fold
        self.validation = validation
        self.validation_fraction = validation_fraction
        self.validation_seed = validation_seed
        self.validation_list = validation_list
        self.skip_invalid = skip_invalid

    def load(self, *, check: FileCheck = check_headers) -> SceneData:
        """Read the tables and check every listed file.

        Args:
            check: function that finds problems of files, given the root and their names.

        Raises:
            UserError: if the root is missing.
            DataError: with all problems of the tables and files.
        """
        if not self.root.is_dir():
            raise UserError(f"data.root={self.root}: no such folder; expected a folder with {META} and audio/")
        if not (self.root / META).exists() and (hint := suggest_inner_root(self.root, META)):
            raise UserError(f"data.root={self.root}: no {META} in it{hint}")
        problems: list[str] = []
        recordings = read_recordings(self.root, problems)
        trained = read_list(self._fold("train"), "the clips to train on", recordings, problems)
        tested = read_list(self._fold("evaluate"), "the clips to test on", recordings, problems)
        known, train, test = recordings or {}, trained or {}, tested or {}
        problems += find_overlaps(train, test, known)
        if train:
            problems += self._unseen(train, test, known)
            problems += self._single(train, known)
        validation = self._listed_for_validation(train, known, problems)
        filenames = sorted({*train, *test} & known.keys())
        if not self.skip_invalid:  # otherwise the feature store finds them, counts them and continues
            problems += check(self.root, filenames)
        if problems:
            raise DataError(problems)
        report_untested(self._fold("test"), self._fold("evaluate"), test)
        return self._split([known[filename] for filename in filenames], set(train), set(test), validation)

    def _fold(self, part: str) -> Path:
        return self.root / f"evaluation_setup/fold{self.fold}_{part}.csv"

    def _unseen(self, train: dict[str, int], test: dict[str, int], known: dict[str, SceneRecording]) -> list[str]:
        """Find scenes that are in the test list only."""
        trained, tested = ({known[name].scene_label for name in part if name in known} for part in (train, test))
        unseen = ", ".join(sorted(tested - trained))
        return [f"{self.root}: test clips of {unseen}, but no training clips; expected both"] if unseen else []

    def _single(self, train: dict[str, int], known: dict[str, SceneRecording]) -> list[str]:
        """Find a training list with a single scene."""
        trained = {known[name].scene_label for name in train if name in known}
        if len(trained) != 1 or len(known.keys() & train.keys()) < 2:
            return []
        return [f"{self._fold('train')}: every clip is of the scene {trained.pop()}; expected at least two scenes"]

    def _listed_for_validation(
        self, train: dict[str, int], known: dict[str, SceneRecording], problems: list[str]
    ) -> set[str] | None:
        """Return the training clips in ``validation_list``; None without such a list."""
        if self.validation_list is None:
            return None
        path = self.root / self.validation_list
        table = read_rows(path, ("filename",), "the clips to validate on", problems)
        if table is None or not train:
            return None
        names = table.columns["filename"]
        problems += [
            f"{table.where(row)}: {name or 'an empty cell'} is not a training clip"
            for row, name in enumerate(names)
            if name not in train
        ]
        chosen = set(names) & train.keys() & known.keys()
        if chosen == train.keys() & known.keys():
            problems.append(f"{path}: holds out every training clip; expected some to be left to train on")
        places = {known[name].location for name in train if name in known and name not in chosen}
        problems += [
            f"{path}: {name} is held out, but other clips of its location {known[name].location} are trained on; "
            "hold out whole locations"
            for name in sorted(chosen)
            if known[name].location in places
        ]
        return chosen

    def _split(
        self, recordings: list[SceneRecording], train: set[str], test: set[str], validation: set[str] | None
    ) -> SceneData:
        def indices(names: set[str]) -> NDArray[np.int64]:
            return np.array([i for i, r in enumerate(recordings) if r.filename in names], dtype=np.int64)

        trained = indices(train)
        held_out = self._hold_out(recordings, trained) if validation is None else indices(validation)
        if len(held_out) == 0:
            raise UserError(
                f"{self.root}: no location can be held out for validation, since every scene has one location only; "
                "name clips to validate on with data.validation_list"
            )
        return SceneData(
            name=self.name,
            root=self.root,
            recordings=tuple(recordings),
            classes=tuple(sorted({recordings[index].scene_label for index in trained})),
            train=np.setdiff1d(trained, held_out),
            validation=held_out,
            test=indices(test),
            class_noun=self.class_noun,
        )

    def _hold_out(self, recordings: list[SceneRecording], trained: NDArray[np.int64]) -> NDArray[np.int64]:
        """Choose the clips to validate on."""
        fraction, seed = self.validation_fraction, self.validation_seed
        if self.validation == "balanced":
            return hold_out_locations(recordings, trained, fraction=fraction, seed=seed)
        split = hold_out_officially(recordings, trained, fraction=fraction, seed=seed)
        if split.adapted:
            log.warning(
                f"data      {', '.join(split.adapted)}: the official rule would hold out every location, one in each "
                "city; the locations of all cities are split together"
            )
        if split.undivided and len(split.held_out):
            log.warning(f"data      {', '.join(split.undivided)}: a single location, which stays in training")
        return split.held_out
