"""Reading of tables: lists of files, labels, events, durations, scores.

A table is UTF-8 text with a header and one row for each entry. Cells are separated by tabs, or by commas if the header
has no tab, and may be quoted. Blanks around cells are removed, and text is brought into composed form (NFC).
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.lookalikes import find_lookalike, find_lookalikes, shorten, show, strip_blanks
from dcase_sweep.utils.text_files import decode, read_bytes

#: Control characters other than tab, line feed and carriage return.
_CONTROL = bytes([*range(9), 11, 12, *range(14, 32), 127])
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FIRST_LINE = re.compile(r"\S[^\n]*")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Table:
    """The text of some columns. Entry `i` of every column is in line `lines[i]` of the file."""

    source: str
    columns: dict[str, list[str]]
    lines: Sequence[int]
    #: The word for a line of the file in messages.
    unit: str = "row"
    #: All columns of the file.
    header: tuple[str, ...] = ()
    #: What separates the cells.
    delimiter: str = "\t"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """Return `file, row N`. Rows are counted like the lines in an editor."""
        return f"{self.source}, {self.unit} {self.lines[row]}"


def read_table(
    path: Path | str,
    columns: Sequence[str] = (),
    *,
    optional: Sequence[str] = (),
    every_column: bool = False,
    may_be_short: bool = False,
    expected: str | None = None,
    problems: list[str] | None = None,
    unit: str = "row",
) -> Table:
    """Read columns of a table by their names in the header; other columns are ignored.

    Args:
        path: path of the table.
        columns: columns that the table must have.
        optional: columns that are also read if the table has them.
        every_column: read all columns that have a name.
        may_be_short: accept rows that end after the first cell, as for a clip without events; the other cells are
            empty.
        expected: description of the table for messages.
        problems: list that receives a line for each row that cannot be read; such rows are left out. If None, they
            raise an error.
        unit: the word for a line of the file in messages.

    Raises:
        UserError: if the file is not a table or a column is missing.
        DataError: if rows are longer or shorter than the header, or contain control characters.
    """
    path = Path(path)
    expected = expected or "a tab-separated table" + (f" with {', '.join(columns)}" if columns else "")
    data = read_bytes(path, expected)
    text = decode(path, data, expected)
    found: list[str] = []
    even = _split_plain(text)
    if even is not None:
        header, cells = even
        header = [strip_blanks(name) for name in header]
        wanted = _find_columns(path, header, columns, optional, every_column, expected)
        read = {name: cells[len(header) + place :: len(header)] for name, place in wanted.items()}
        numbers: Sequence[int] = range(2, len(cells) // len(header) + 1)
    else:
        rows, lines = _split(path, text, expected, unit)
        if not rows:
            raise UserError(f"{path}: the file is empty; expected {expected}")
        header = [strip_blanks(name) for name in rows[0]]
        wanted = _find_columns(path, header, columns, optional, every_column, expected)
        body, numbers = _check_lengths(f"{path}, {unit}", header, rows[1:], lines[1:], may_be_short, found)
        read = {name: [row[place] for row in body] for name, place in wanted.items()}
    # Most tables need no cleaning: they have no blanks, no characters outside ASCII and no control characters.
    if not text.isascii() or " " in text or '"' in text or len(data) != len(data.translate(None, _CONTROL)):
        read, numbers = _clean(f"{path}, {unit}", read, numbers, found)
    if problems is not None:
        problems += found
    elif found:
        raise DataError(found)
    return Table(str(path), read, numbers, unit, tuple(header), _find_delimiter(text))


def check_spelling(table: Table, column: str) -> list[str]:
    """Describe each value of a column that differs from another only in blanks, case or letters that look alike."""
    values = table.columns[column]
    problems = []
    for pair in find_lookalikes(value for value in dict.fromkeys(values) if value):
        first, second = values.index(pair.first), values.index(pair.second)
        problems.append(
            f"{table.where(second)}: {column} {pair} ({table.unit} {table.lines[first]}); expected one spelling"
        )
    return problems


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Quote the name, and name the known one that it was probably meant to be."""
    pair = find_lookalike(name, known)
    if pair is None:
        return f"'{shorten(name, 80)}'"
    return f"{show(name)}, which differs from {show(pair.first)} only in {pair.difference}"


def tidy_path(name: str) -> str:
    """Remove `./` and doubled slashes from a file name, so that each file has one name."""
    is_tidy = "//" not in name and "./" not in name and not name.endswith(("/", "/."))
    return name if is_tidy else str(PurePosixPath(name))


def path_problem(name: str) -> str | None:
    """Describe why a file name of a table is not a path inside the folder of the data set; None if it is one.

    A symbolic link in the folder may lead outside, because the owner of the folder created it, not the table.
    """
    if name.startswith(("/", "~")):
        return f"'{name}' is an absolute path; expected one relative to the data set's folder"
    if _DRIVE.match(name):
        return f"'{name}' begins with a drive letter; expected a path relative to the data set's folder"
    if "\\" in name:
        return f"'{name}' has backslashes; expected / between folders"
    if ".." in name and ".." in name.split("/"):
        return f"'{name}' leads out of its folder with '..'; expected a path inside the data set's folder"
    return None


def stored_name(root: Path, name: str) -> str:
    """Return the name as it is on disk: some file systems store accents as separate characters (NFD).

    Tables are read in composed form (NFC), in which `é` is one character.
    """
    if name.isascii() or (root / name).exists():
        return name
    decomposed = unicodedata.normalize("NFD", name)
    return decomposed if (root / decomposed).exists() else name


def check_paths(table: Table, column: str = "filename") -> list[str]:
    """Describe each row whose file name is not a path inside the folder of the data set."""
    wrong = {name: path_problem(name) for name in dict.fromkeys(table.columns[column])}
    if not any(wrong.values()):
        return []
    return [
        f"{table.where(row)}: {wrong[name]}"
        for row, name in enumerate(table.columns[column])
        if wrong[name] is not None
    ]


def parse_number(text: str) -> float | None:
    """Parse a finite decimal number; return None for anything else, including `nan`, `inf` and `1_000`."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if value not in (float("inf"), float("-inf")) else None


def _find_delimiter(text: str) -> str:
    first = _FIRST_LINE.search(text)
    return "\t" if first is not None and "\t" in first[0] else ","


def _split_plain(text: str) -> tuple[list[str], list[str]] | None:
    """Return the header and all cells, row by row from the header on; None unless all lines have the same length.

    Most tables are like this, and the csv module is slower for them.
    """
    text = text.replace("\r\n", "\n")
    if '"' in text or "\r" in text:
        return None
    lines = text.removesuffix("\n").split("\n")
    delimiter = "\t" if "\t" in lines[0] else ","
    count = lines[0].count(delimiter)
    uneven = not count or {line.count(delimiter) for line in lines} != {count}
    if uneven or max(map(len, lines)) > csv.field_size_limit():
        return None
    return lines[0].split(delimiter), delimiter.join(lines).split(delimiter)


def _split(path: Path, text: str, expected: str, unit: str) -> tuple[list[list[str]], Sequence[int]]:
    """Return the rows that are not empty, and the line in which each of them ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_find_delimiter(text), strict=True)
    rows: list[list[str]] = []
    lines: Sequence[int]
    try:
        if '"' in text:
            lines = []
            for row in reader:
                rows.append(row)
                lines.append(reader.line_num)
        else:
            rows = list(reader)
            lines = range(1, len(rows) + 1)
    except csv.Error as error:
        fault = _describe_csv_error(str(error))
        raise UserError(f"{path}, {unit} {reader.line_num}: is not a table: {fault}; expected {expected}") from None
    if all(rows) and (len(rows[0]) > 1 if rows else True):
        return rows, lines
    kept = [index for index, row in enumerate(rows) if row and (len(row) > 1 or row[0].strip())]
    return [rows[index] for index in kept], [lines[index] for index in kept]


def _describe_csv_error(message: str) -> str:
    """Translate a message of the csv module."""
    if "field limit" in message:
        return f"a cell of more than {csv.field_size_limit():,} characters"
    if "expected after" in message:
        return "something follows the closing quotation mark of a cell"
    return "a quotation mark is not closed" if "unexpected end" in message else message


def _find_columns(
    path: Path, header: list[str], columns: Sequence[str], optional: Sequence[str], every_column: bool, expected: str
) -> dict[str, int]:
    """Find the position of each column to read."""
    wanted = list(dict.fromkeys([*columns, *(name for name in optional if name in header)]))
    if every_column:
        wanted = list(dict.fromkeys([*wanted, *filter(None, header)]))
    for name in wanted:
        if header.count(name) > 1:
            raise UserError(f"{path}: column '{name}' occurs twice; expected each column once")
    missing = [name for name in columns if name not in header]
    if missing:
        pairs = [pair for name in missing if (pair := find_lookalike(name, header))]
        hint = f" ({pairs[0]})" if pairs else ""
        other = next((sign for sign in ";|" if len(header) == 1 and sign in header[0]), None)
        hint = f" (separated by '{other}'; write tabs or commas)" if other else hint
        found = ", ".join(filter(None, header[:50]))[:500] or "nothing"
        raise UserError(f"{path}: no column {', '.join(missing)}; found {found}{hint}; expected {expected}")
    return {name: header.index(name) for name in wanted}


def _check_lengths(
    where: str,
    header: list[str],
    rows: list[list[str]],
    lines: Sequence[int],
    may_be_short: bool,
    problems: list[str],
) -> tuple[list[list[str]], Sequence[int]]:
    """Return the rows that have a cell for each column, and add the others to the problems."""
    width = len(header)
    if set(map(len, rows)) <= {width}:
        return rows, lines
    kept, numbers = [], []
    for row, number in zip(rows, lines, strict=True):
        more = any(cell.strip() for cell in row[width:])
        fewer = len(row) < width and not (may_be_short and not any(cell.strip() for cell in row[1:]))
        if more or fewer:
            count = f"{len(row)} cell{'s' if len(row) != 1 else ''}"
            problems.append(f"{where} {number}: {count}; expected {width} as in the header")
        else:
            kept.append(row[:width] + [""] * (width - len(row)))
            numbers.append(number)
    return kept, numbers


def _clean(
    where: str, columns: dict[str, list[str]], lines: Sequence[int], problems: list[str]
) -> tuple[dict[str, list[str]], Sequence[int]]:
    """Remove blanks around cells and rows with control characters."""
    known: dict[str, str] = {}
    for cells in columns.values():
        known.update((cell, strip_blanks(cell)) for cell in set(cells).difference(known))
    refused = {cell for cell in known.values() if _CONTROL_CHARACTER.search(cell)}
    cleaned = {name: [known[cell] for cell in cells] for name, cells in columns.items()}
    if not refused:
        return cleaned, lines
    wrong: set[int] = set()
    for name, cells in cleaned.items():
        for row, cell in enumerate(cells):
            if cell in refused:
                wrong.add(row)
                problems.append(f"{where} {lines[row]}: {name} {show(cell)} has a control character; remove it")
    kept = [row for row in range(len(lines)) if row not in wrong]
    return {name: [cells[row] for row in kept] for name, cells in cleaned.items()}, [lines[row] for row in kept]
