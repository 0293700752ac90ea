"""Problems of a package, one line each, with a limited number of lines of each kind."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.tables import Table
from dcase_sweep.utils.text import printable

#: Lines of one kind that are shown, because a wrong column is wrong in thousands of rows.
_OF_A_KIND = 3
#: Characters of a line.
_LONGEST = 600


class Problems:
    """Collects lines; iterating gives them in order."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> None:
        """Add one line, which may contain names from files."""
        self._lines.append(printable(line, _LONGEST))

    def add_kind(self, where: str, lines: Iterable[str]) -> None:
        """Add the first few lines of one kind, and the number of the others."""
        found = list(lines)
        for line in found[:_OF_A_KIND]:
            self.add(line)
        if len(found) > _OF_A_KIND:
            self.add(f"{where}: {len(found) - _OF_A_KIND:,} more lines like the last one")

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Add the line of an error, or the lines of a `DataError`, that is raised in this context."""
        try:
            yield
        except DataError as error:
            for line in error.problems:
                self.add(line)
        except UserError as error:
            self.add(str(error))

    def has_tabs(self, table: Table, where: str) -> bool:
        """Whether the cells of a table are separated by tabs, as the validators read them [V1, V4]; else add a line."""
        if table.delimiter == "\t":
            return True
        self.add(f"{where}: its columns are not separated by tabs; expected tabs")
        return False
