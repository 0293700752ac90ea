"""Recordings that are in two splits under different names."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def find_copies(
    names: Sequence[str], digests: Sequence[bytes | None], splits: Mapping[str, NDArray[np.int64]]
) -> list[tuple[str, str]]:
    """Return pairs of files with the same contents in different splits, each described as ``name (split)``.

    Args:
        names: names of all files.
        digests: a hash of the contents of each; None if it cannot be read.
        splits: indices of the files by the name of the split.
    """
    first: dict[bytes, tuple[str, str]] = {}
    pairs = []
    for split, rows in splits.items():
        for row in rows:
            digest = digests[row]
            if digest is None:
                continue
            name, other = first.setdefault(digest, (names[row], split))
            if other != split:
                pairs.append((f"{name} ({other})", f"{names[row]} ({split})"))
    return pairs
