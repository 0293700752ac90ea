"""Folders and tables of DESED's subsets, and the clips on disk."""

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dcase_sweep.audio.files import AUDIO_SUFFIXES


@dataclass(frozen=True)
class Place:
    """The paths of one subset under a root.

    The names are those of DCASE 2021 task 4. The baseline writes copies at 16 kHz to folders that end in ``_16k``; they
    are used if the downloads are missing. Since 2022 the archive of synthetic soundscapes has a folder ``dcase_synth``.
    """

    root: Path
    subset: str
    audio: str
    metadata: str
    duration_table: str | None = None

    @cached_property
    def table(self) -> Path:
        """Path of the table of labels; for unlabelled clips it has names only."""
        return self._first(self.metadata)

    @cached_property
    def durations(self) -> Path | None:
        """Path of the table of durations; None if there is none, and durations come from the headers of the files."""
        path = self._first(self.duration_table) if self.duration_table else None
        return path if path is not None and path.exists() else None

    @cached_property
    def folders(self) -> dict[str, set[str]]:
        """The existing folders, relative to the root, and the names of the files in each."""
        candidates = [prefix + self.audio + suffix for prefix in self._prefixes for suffix in ("", "_16k")]
        return {name: set(os.listdir(self.root / name)) for name in candidates if (self.root / name).is_dir()}

    def find(self, listed: Iterable[str]) -> dict[str, str]:
        """Find the listed clips in the folder that has most of them; return their paths under the root."""
        wanted = list(listed)
        best: dict[str, str] = {}
        for folder, names in self.folders.items():
            found = {name: f"{folder}/{stored}" for name in wanted if (stored := _stored(name, names)) is not None}
            best = found if len(found) > len(best) else best
        return best

    def find_all(self) -> dict[str, str]:
        """Find all audio files in the same way."""
        return self.find(
            sorted(
                {
                    unicodedata.normalize("NFC", name)
                    for names in self.folders.values()
                    for name in names
                    if is_recording(name)
                }
            )
        )

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return ("", "dcase_synth/") if "synthetic" in self.audio else ("",)

    def _first(self, relative: str) -> Path:
        paths = [self.root / (prefix + relative) for prefix in self._prefixes]
        return next((path for path in paths if path.exists()), paths[0])


def is_recording(name: str) -> bool:
    """Whether a file in a folder of clips is a recording; macOS adds hidden files with the same suffix."""
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")


def _stored(name: str, names: set[str]) -> str | None:
    """Return the name as it is on disk: some file systems store accents as separate characters (NFD)."""
    if name in names:
        return name
    decomposed = name if name.isascii() else unicodedata.normalize("NFD", name)
    return decomposed if decomposed in names else None


def places(root: Path) -> dict[str, Place]:
    """Return the paths of every subset by its name."""
    synthetic, validation = "synthetic21_train/soundscapes", "synthetic21_validation/soundscapes"
    of_synthetic, of_real = "synthetic21_validation/durations.tsv", "validation_durations.tsv"
    listed = (
        Place(root, "strong", f"audio/train/{synthetic}", f"metadata/train/{synthetic}.tsv"),
        Place(root, "weak", "audio/train/weak", "metadata/train/weak.tsv"),
        Place(root, "unlabeled", "audio/train/unlabel_in_domain", "metadata/train/unlabel_in_domain.tsv"),
        Place(
            root,
            "synthetic_validation",
            f"audio/validation/{validation}",
            f"metadata/validation/{validation}.tsv",
            f"metadata/validation/{of_synthetic}",
        ),
        Place(
            root,
            "validation",
            "audio/validation/validation",
            "metadata/validation/validation.tsv",
            f"metadata/validation/{of_real}",
        ),
    )
    return {place.subset: place for place in listed}
