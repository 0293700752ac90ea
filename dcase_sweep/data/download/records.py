"""Sizes and digests that Zenodo publishes with a record (https://developers.zenodo.org)."""

import json
import re
from dataclasses import replace
from pathlib import Path

from dcase_sweep.data.download.catalogue import Archive, DataSet
from dcase_sweep.data.download.transfer import Transfer, TransferError
from dcase_sweep.utils.errors import UserError

_API = "https://zenodo.org/api/records"
#: Largest description of a record in bytes; it has a few thousand for each file.
_LARGEST = 4 * 2**20


def complete(data_set: DataSet, transfer: Transfer, mirror: str | Path | None = None) -> DataSet:
    """Return the data set with the size and digest of each archive.

    Args:
        data_set: a data set of the catalogue.
        transfer: reads the records.
        mirror: address or folder with the archives and the description of each record, ``RECORD.json``.

    Raises:
        UserError: if a record cannot be read, or does not have the archive.
        Stopped: if the transfer was stopped.
    """
    unknown = [archive for archive in data_set.archives if archive.digest is None]
    numbers = sorted({archive.record for archive in unknown if archive.record is not None})
    published: dict[int, dict[str, tuple[int, str]]] = {}
    for number in numbers:
        where = _place(number, mirror)
        try:
            content = where.read_bytes() if isinstance(where, Path) else transfer.read(where, _LARGEST)
            published[number] = _read_record(content)
        except (TransferError, ValueError, OSError) as error:
            words = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise UserError(
                f"{where}: {words}; expected the sizes and digests of the archives of {data_set.name}"
            ) from None
    return replace(data_set, archives=tuple(_complete(archive, published) for archive in data_set.archives))


def _place(number: int, mirror: str | Path | None) -> str | Path:
    """Return the address or the path of the description of a record."""
    if mirror is None:
        return f"{_API}/{number}"
    return mirror / f"{number}.json" if isinstance(mirror, Path) else f"{mirror.rstrip('/')}/{number}.json"


def _complete(archive: Archive, published: dict[int, dict[str, tuple[int, str]]]) -> Archive:
    if archive.record not in published:
        return archive
    files = published[archive.record]
    if archive.name not in files:
        raise UserError(
            f"record {archive.record}: has no {archive.name}, but {', '.join(sorted(files)[:5]) or 'nothing'}; the "
            "record has changed"
        )
    size, digest = files[archive.name]
    return replace(archive, size=size, digest=digest)


def _read_record(content: bytes) -> dict[str, tuple[int, str]]:
    """Read the size and the digest of each file.

    Raises:
        ValueError: if it is not the description of a record.
    """
    try:
        files = json.loads(content)["files"]
        found = {str(file["key"]): (file["size"], str(file["checksum"])) for file in files}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("not the description of a record") from None
    for name, (size, digest) in found.items():
        if type(size) is not int or size < 0 or not re.fullmatch(r"md5:[0-9a-f]{32}", digest):
            raise ValueError(f"{name!r}: no size and MD5")
    return found
