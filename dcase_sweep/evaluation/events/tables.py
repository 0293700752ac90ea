"""Parsing of the numbers in a table of events or durations."""

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.utils.tables import Table, parse_number


def parse_seconds(table: Table, column: str, wanted: NDArray[np.bool_], problems: list[str]) -> NDArray[np.float64]:
    """Parse a column as float64 seconds; NaN if a row is not wanted or, with a line in `problems`, not a number."""
    texts = table.columns[column]
    seconds = np.full(len(texts), np.nan)
    rows = np.flatnonzero(wanted)
    try:
        wanted_texts = [texts[row] for row in rows]
        if "_" in "".join(wanted_texts):  # NumPy reads 1_0 as 10
            raise ValueError
        seconds[rows] = np.array(wanted_texts, dtype=np.float64)
    except ValueError:
        for row in rows:
            value = parse_number(texts[row])
            seconds[row] = np.nan if value is None else value
    for row in rows[~np.isfinite(seconds[rows])]:
        problems.append(f"{table.where(row)}: {column} is {texts[row]!r}; expected a number of seconds")
        seconds[row] = np.nan
    return seconds
