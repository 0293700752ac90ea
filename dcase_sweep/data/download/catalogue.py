"""The public data sets that can be downloaded, and their archives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

_FILE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of a data set.

    Attributes:
        name: name of the file.
        url: address of the file.
        size: size in bytes; None until the record is read.
        digest: ``md5:`` or ``sha256:`` and the digest in hexadecimal digits; None likewise.
        folder: the folder in the archive whose contents are moved to the root; empty = the root of the archive.
        record: the Zenodo record that publishes the size and the digest; None if they are known.
        recordings: digest of the recordings in the archive, where the server may pack the same files otherwise; None if
            the archive is always the same.
    """

    name: str
    url: str
    size: int | None = None
    digest: str | None = None
    folder: str = ""
    record: int | None = None
    recordings: str | None = None

    @property
    def is_repacked(self) -> bool:
        """Whether the server may pack the same files into an archive with another size and digest."""
        return self.recordings is not None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A public data set.

    Attributes:
        name: name on the command line.
        title: full name.
        page: address of its description.
        licence: short name of its licence.
        archives: the archives in the order in which they are downloaded.
        unpacked: approximate size of all unpacked files in bytes.
        command: an experiment on it, with ``{root}`` in place of ``data.root=ROOT``.
    """

    name: str
    title: str
    page: str
    licence: str
    archives: tuple[Archive, ...]
    unpacked: int
    command: str

    def moved_to(self, mirror: str) -> "DataSet":
        """Return the data set with the addresses of a mirror, which has all archives in one folder."""
        base = mirror.rstrip("/")
        return replace(
            self, archives=tuple(replace(archive, url=f"{base}/{archive.name}") for archive in self.archives)
        )


@cache
def load_catalogue() -> dict[str, DataSet]:
    """Read the catalogue: the data sets by their names."""
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {name: _data_set(name, entry) for name, entry in found.items()}


def find_data_set(name: str) -> DataSet:
    """Return the data set of a name.

    Raises:
        UserError: if there is none.
    """
    catalogue = load_catalogue()
    if name not in catalogue:
        raise UserError(f"{printable(name)}: no such data set; expected one of {', '.join(catalogue)}")
    return catalogue[name]


def _data_set(name: str, entry: Mapping[str, Any]) -> DataSet:
    archives = tuple(
        Archive(
            **{
                "url": entry.get("url", "").format(name=archive["name"]),
                "folder": entry.get("folder", ""),
                **archive,
            }
        )
        for archive in entry["archives"]
    )
    fields = {key: entry[key] for key in ("title", "page", "licence", "unpacked", "command")}
    return DataSet(name=name, archives=archives, **fields)
