"""Tables of events and durations in the layout of DESED: a header, then a row an event, tab or comma separated."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.errors import UserError


@dataclass(frozen=True, slots=True)
class Table:
    """The text of some columns; entry `i` of every column stands in line `lines[i]` of the file."""

    source: str
    columns: dict[str, list[str]]
    lines: list[int]

    def where(self, row: int) -> str:
        """`file, row N`, with rows counted as an editor counts lines."""
        return f"{self.source}, row {self.lines[row]}"


def read_table(path: Path | str, columns: Sequence[str]) -> Table:
    """The wanted columns of a table, by their names in its header; further columns are left unread.

    Raises:
        UserError: the file is missing, empty or not text, or lacks one of the columns.
    """
    path = Path(path)
    rows, lines = _read_rows(path)
    if not rows:
        raise UserError(f"{path}: the table is empty; expected a header with {', '.join(columns)}")
    header = [name.strip() for name in rows[0]]
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(
            f"{path}, row {lines[0]}: found the columns {', '.join(filter(None, header)) or '(none)'}; "
            f"expected {', '.join(columns)}; add {', '.join(missing)}"
        )
    places = [header.index(name) for name in columns]
    width = max(places) + 1
    body = [row if len(row) >= width else row + [""] * (width - len(row)) for row in rows[1:]]
    return Table(
        str(path), {name: [row[place] for row in body] for name, place in zip(columns, places, strict=True)}, lines[1:]
    )


def parse_seconds(table: Table, column: str, wanted: NDArray[np.bool_], problems: list[str]) -> NDArray[np.float64]:
    """The column as float64 seconds; NaN where a row is not wanted or, with a line in `problems`, not a number."""
    texts = table.columns[column]
    seconds = np.full(len(texts), np.nan)
    rows = np.flatnonzero(wanted)
    try:
        seconds[rows] = np.array([texts[row] for row in rows], dtype=np.float64)
    except ValueError:
        for row in rows:
            seconds[row] = _parse_number(texts[row])
    for row in rows[~np.isfinite(seconds[rows])]:
        problems.append(f"{table.where(row)}: {column} is {texts[row]!r}; expected a number of seconds")
        seconds[row] = np.nan
    return seconds


def _read_rows(path: Path) -> tuple[list[list[str]], list[int]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            rows, lines = [], []
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
            return rows, lines
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected a table of tab-separated text") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path}: is not a text table; expected tab-separated UTF-8 text") from None


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
