"""Partial files, each with a second file for the entity tag of the whole one."""

from pathlib import Path

from dcase_sweep.data.download.headers import is_strong_tag

_SUFFIX = ".etag"


def held_bytes(part: Path) -> int:
    """Return the size of a partial file in bytes."""
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def remove_part(part: Path) -> None:
    """Remove a partial file."""
    part.unlink(missing_ok=True)
    tag_path(part).unlink(missing_ok=True)


def tag_path(part: Path) -> Path:
    """Return the path of the entity tag of a partial file."""
    return part.with_name(part.name + _SUFFIX)


def read_tag(part: Path) -> str | None:
    """Return the stored entity tag; None if there is none, or it is invalid."""
    try:
        with tag_path(part).open(encoding="utf-8") as file:
            tag = file.read(1000)
    except (OSError, UnicodeDecodeError):
        return None
    return tag if is_strong_tag(tag) else None
