"""Problems of a package: one line each, and of each kind a few."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dcase_sweep.utils.errors import DataError, UserError

#: Lines of one kind that are shown: a wrong column is wrong in thousands of rows.
_OF_A_KIND = 3


class Problems:
    """Collects lines; iterating gives them in order."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> None:
        """Add one line."""
        self._lines.append(line)

    def add_kind(self, where: str, lines: Iterable[str]) -> None:
        """Add lines of the same kind: the first few, and how many more there are in the file."""
        found = list(lines)
        self._lines += found[:_OF_A_KIND]
        if len(found) > _OF_A_KIND:
            self._lines.append(f"{where}: {len(found) - _OF_A_KIND:,} more lines like the last one")

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Add the line of an error, or the lines of a `DataError`, that ends the block."""
        try:
            yield
        except DataError as error:
            self._lines += error.problems
        except UserError as error:
            self._lines.append(str(error))
