"""A data set of this project's own: ``data=recordings``."""

from pathlib import Path

import numpy as np

from dcase_sweep.data.files import FileCheck, check_headers
from dcase_sweep.data.scenes import SceneData, SceneRecording
from dcase_sweep.utils.errors import UserError


class Recordings:
    """A folder of recordings for each scene: ``root/bus/anything.wav``.

    The files of each scene are split in alphabetical order: 60 % for training, 20 % for validation, 20 % for testing.
    Change the rule if several recordings come from one place: they should all be in the same split.

    Args:
        name: name of the data set, for tables.
        root: the folder.
    """

    kind = "scenes"

    def __init__(self, *, name: str, root: str) -> None:
        self.name = name
        self.root = Path(root).expanduser()

    def load(self, *, check: FileCheck = check_headers) -> SceneData:
        """Return the recordings and their splits.

        Args:
            check: finds files that cannot be read; passed by the program.

        Raises:
            UserError: if a scene has too few recordings, or some cannot be read.
        """
        recordings: list[SceneRecording] = []
        splits: tuple[list[int], list[int], list[int]] = ([], [], [])
        classes = tuple(sorted(path.name for path in self.root.glob("*") if path.is_dir()))
        for label in classes:
            files = sorted((self.root / label).glob("*.wav"))
            if len(files) < 5:
                raise UserError(f"{self.root / label}: {len(files)} recordings; expected at least 5 WAV files")
            for position, path in enumerate(files):
                part = sum(position >= share * len(files) for share in (0.6, 0.8))
                splits[part].append(len(recordings))
                name = f"{label}/{path.name}"
                recordings.append(SceneRecording(name, label, city="", location=name, device=""))
        if not classes:
            raise UserError(f"data.root={self.root}: no folder of a scene found; expected root/SCENE/*.wav")
        problems = check(self.root, [recording.filename for recording in recordings])
        if problems:
            raise UserError("; ".join(problems))
        train, validation, test = (np.array(split, dtype=np.int64) for split in splits)
        return SceneData(self.name, self.root, tuple(recordings), classes, train, validation, test)
