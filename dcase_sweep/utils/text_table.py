"""Tables of plain text, in columns, for a terminal of any width, for files and for pipes.

A table of rich was tried. It wraps or cuts cells, numbers too, at the width of the terminal, and at 80 columns in a
pipe. Here a number is never cut: a table that is too wide gets titles in two lines, then loses columns from the right,
and then its words are shortened. A last line says which columns are missing.
"""

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dcase_sweep.utils.lookalikes import shorten

#: Blanks between two columns.
_GAP = 2
#: Letters of words that are shown at least.
_SHORTEST = 12


def terminal_width() -> int | None:
    """The width of the terminal that standard output is shown on; None in a pipe or a file, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def measure(text: str) -> int:
    """The columns of a terminal that a text takes: Chinese, Japanese and Korean letters take two each."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def fit_text(text: str, width: int) -> str:
    """Cut the middle out of a text that is wider than this, and put an ellipsis there."""
    letters = width
    while measure(text) > width and letters > 0:
        text, letters = shorten(text, letters), letters - 1
    return text


def wrap(text: str, width: int | None) -> str:
    """Break the lines of a text between words; None = leave them as they are."""
    if width is None:
        return text
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in text.split("\n")
    )


def format_table(
    rows: Sequence[Sequence[str]],
    *,
    left: int | Collection[int] = 1,
    whole: Collection[int] = (),
    width: int | None = None,
    ruled: Sequence[int] = (1,),
    where: str | None = None,
) -> str:
    """Format rows of cells in aligned columns.

    Args:
        rows: the titles, and the cells under them.
        left: columns of words, which are aligned to the left and may be shortened: their positions, or how many of the
            first ones.
        whole: positions of columns that are neither shortened nor removed, such as one of ids to be copied.
        width: width of the terminal in characters; None = any.
        ruled: rows with a line above them, counted from the titles (0) or from the end (-1).
        where: file with all columns, for the line that lists the omitted ones: ``comparison.csv``.
    """
    header, *body = [list(row) for row in rows]
    words = range(left) if isinstance(left, int) else left
    columns = [
        _Column(title, [row[place] for row in body], place in words, place in whole)
        for place, title in enumerate(header)
    ]
    missing = [] if width is None else _fit(columns, width)
    lines = _lines(columns, ruled, len(rows))
    if missing:
        names = ", ".join(title or "-" for title in missing)
        lines.append(f"not shown: {names}" + (f" ({where} has all)" if where else ""))
    return "\n".join(lines)


@dataclass(slots=True, eq=False)
class _Column:
    """A column: its title, which may have several lines, and its cells."""

    title: str
    cells: list[str]
    has_words: bool
    is_whole: bool = False

    @property
    def content(self) -> int:
        return max(map(measure, self.cells), default=0)

    @property
    def width(self) -> int:
        return max([self.content, *map(measure, self.title.split("\n"))])

    @property
    def least(self) -> int:
        """The width to which it may be shortened."""
        return min(self.width, _SHORTEST) if self.has_words and not self.is_whole else self.width

    def stack(self) -> None:
        """Divide the title between two words, where that makes the column narrower."""
        words = self.title.split(" ")
        if self.has_words or len(words) < 2 or measure(self.title) <= self.content:
            return
        divided = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(1, len(words))]
        self.title = "\n".join(min(divided, key=lambda lines: max(map(measure, lines))))

    def shorten(self, width: int) -> None:
        self.title = fit_text(self.title, width)
        self.cells = [fit_text(cell, width) for cell in self.cells]

    def lines(self, height: int) -> list[str]:
        """Title and cells, aligned; the title at the bottom of its lines."""
        title = self.title.split("\n")
        cells = [*[""] * (height - len(title)), *title, *self.cells]
        width = self.width
        blanks = [" " * (width - measure(cell)) for cell in cells]
        if self.has_words:
            return [cell + blank for cell, blank in zip(cells, blanks, strict=True)]
        return [blank + cell for cell, blank in zip(cells, blanks, strict=True)]


def _fit(columns: list[_Column], width: int) -> list[str]:
    """Make the columns fit into a width, and return the titles of those that are removed."""
    if _total([column.width for column in columns]) <= width:
        return []
    for column in columns:
        column.stack()
    missing: list[str] = []
    while len(columns) > 2 and _total([column.least for column in columns]) > width:
        last = next((column for column in reversed(columns) if not column.is_whole), None)
        if last is None:
            break
        columns.remove(last)
        missing.insert(0, last.title.replace("\n", " "))
    words = [column for column in columns if column.has_words and not column.is_whole]
    while words and (over := _total([column.width for column in columns]) - width) > 0:
        longest = max(words, key=lambda column: column.width)
        if longest.width <= longest.least:
            break
        second = max((column.width for column in words if column is not longest), default=0)
        longest.shorten(max(longest.width - over, longest.least, min(second, longest.width - 1)))
    return missing


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _lines(columns: Sequence[_Column], ruled: Sequence[int], rows: int) -> list[str]:
    height = max(column.title.count("\n") for column in columns) + 1
    texts = [column.lines(height) for column in columns]
    lines = [(" " * _GAP).join(cells).rstrip() for cells in zip(*texts, strict=True)]
    ruler = "-" * max(map(measure, lines))
    for row in sorted({place % rows for place in ruled}, reverse=True):
        lines.insert(row + height - 1, ruler)
    return lines
