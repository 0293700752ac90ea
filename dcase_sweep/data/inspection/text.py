"""The output of an inspection on the terminal."""

from typing import TYPE_CHECKING

from dcase_sweep.data.inspection.counts import Counts
from dcase_sweep.data.inspection.summary import Inspection, format_seconds
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import fit_text, format_table, terminal_width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Largest number of rows of a table and lines of a list. The page contains all.
_ROWS, _LINES = 60, 10
#: Columns of a name at most.
_LONGEST = 32


def print_inspection(inspection: Inspection) -> None:
    """Print the results in the width of the terminal, or in 80 columns without a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        _print(console, inspection)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _print(console: "Console", inspection: Inspection) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text(printable(inspection.title)))
    console.print(_make_pairs([*inspection.notes, *inspection.figures]))
    for counts in inspection.counts:
        console.print("")
        console.print(Text(_make_table(counts, terminal_width())), soft_wrap=True)
        if len(counts.rows) > _ROWS:
            console.print(f"... and {len(counts.rows) - _ROWS} more")
    for title, lines in (("Look at", inspection.warnings), ("Cannot be used", inspection.problems)):
        if lines:
            console.print(f"\n{title} ({len(lines):,}):")
            for line in lines[:_LINES]:
                console.print(Padding(Text(printable(line)), (0, 0, 0, 2)))
            if len(lines) > _LINES:
                console.print(f"  ... and {len(lines) - _LINES:,} more")


def _make_pairs(pairs: list[tuple[str, str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in pairs:
        table.add_row(Text(name), Text(printable(text)))
    return table


def _make_table(counts: Counts, width: int | None) -> str:
    """A row for each class, device or city."""
    header = [counts.what, *counts.splits, "clips", *(["events"] if counts.events else []), "length"]
    rows = []
    for label, numbers in list(counts.rows.items())[:_ROWS]:
        cells = [fit_text(printable(label, 60), _LONGEST), *(f"{number:,}" for number in (*numbers, sum(numbers)))]
        if counts.events:
            cells.append(f"{counts.events[label]:,}" if label in counts.events else "")
        cells.append(format_seconds(counts.seconds[label]) if label in counts.seconds else "")
        rows.append(cells)
    return format_table([header, *rows], width=width, where="the page")
