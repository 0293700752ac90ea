"""Small text files that others may have written or damaged: one that is not as expected counts as missing."""

import json
import stat
from pathlib import Path
from typing import Any


def read_small(path: Path, most_bytes: int) -> str | None:
    """Read a regular file of at most this size as UTF-8 text; return None for anything else."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def read_object(path: Path, most_bytes: int) -> dict[str, Any] | None:
    """Read a JSON object from a regular file of at most this size; return None for anything else."""
    return parse_object(read_small(path, most_bytes) or "")


def parse_object(text: str) -> dict[str, Any] | None:
    """Parse a JSON object; return None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
