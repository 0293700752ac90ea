"""A comparison as text for the terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from dcase_sweep.evaluation.comparison.cells import (
    DIFFERENCE_TITLES,
    TaskRows,
    difference_cells,
    explain_differences,
    list_cells,
    list_header,
    split_by_task,
)
from dcase_sweep.evaluation.comparison.differences import Comparison
from dcase_sweep.evaluation.comparison.systems import System, list_notes
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.text import printable

#: Smallest width of a name in a table, in characters.
_SHORTEST_NAME = 22
#: Mark of published results.
_PUBLISHED = "†"
#: Number of columns that are never omitted: system, n, rule and main measure.
_FEWEST = 4


def to_text(systems: Sequence[System], comparisons: Sequence[Comparison], width: int) -> str:
    """Return one table for each task. If a table is too wide, columns on the right are omitted and names shortened.

    Args:
        systems: systems in the order of `group_runs`, the best of each task first.
        comparisons: comparison of each system with the best.
        width: width of the terminal in characters.
    """
    parts = []
    for rows in split_by_task(systems):
        notes = [f"{letter}: {rule}" for rule, letter in rows.rules.items()]
        notes += [f"{_PUBLISHED}: published"] if rows.published else []
        notes += list_notes(rows.systems)
        lines = [line for note in notes for line in _wrap(note, width)]
        parts.append("\n".join([f"task {printable(rows.task, 60)}", *_table(rows, width), *lines]))
        of_task = [each for each in comparisons if each.best.task == rows.task]
        if of_task:
            parts.append("\n".join(_describe_differences(of_task, rows, width)))
    return "\n\n".join(parts)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 40), subsequent_indent="   ")


def _describe_differences(comparisons: Sequence[Comparison], rows: TaskRows, width: int) -> Iterator[str]:
    """Describe the tests of each system against the best of its rule, with a line for each measure."""
    cells = [difference_cells(each) for each in comparisons]
    titles = ["", *DIFFERENCE_TITLES]
    measures = max(len(each.measure.title) for each in comparisons) + 4
    sizes = [
        max(measures, 12),
        *(max(len(row[column]) for row in [DIFFERENCE_TITLES, *cells]) for column in range(len(DIFFERENCE_TITLES))),
    ]
    for _, of_best in groupby(zip(comparisons, cells, strict=True), key=lambda pair: id(pair[0].best)):
        pairs = list(of_best)
        first = pairs[0][0].best
        yield shorten(f"less the best of rule {rows.rules[first.rule]}, {printable(first.name, 200)}:", width)
        yield "  ".join(title.rjust(size) for title, size in zip(titles, sizes, strict=True)).rstrip()
        for _, of_other in groupby(pairs, key=lambda pair: id(pair[0].other)):
            for place, (comparison, row) in enumerate(of_other):
                if not place:
                    yield "  " + shorten(printable(comparison.other.name, 200), max(width - 2, _SHORTEST_NAME))
                shown = [f"    {comparison.measure.title}".ljust(sizes[0])]
                shown += [cell.rjust(size) for cell, size in zip(row, sizes[1:], strict=True)]
                yield "  ".join(shown).rstrip()
    for line in explain_differences(comparisons):
        yield from _wrap(line, width)


def _table(rows: TaskRows, width: int) -> list[str]:
    shown = rows.measures
    table = [list_header(rows, shown), *list_cells(rows, shown, f"{_PUBLISHED} ")]
    table[0][0] = ""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    longest = widths[0]
    shortest = min(longest, _find_shortest([row[0] for row in table], width // 2))
    while len(widths) > _FEWEST and sum(widths[1:]) + 2 * (len(widths) - 1) + shortest > width:
        for row in table:
            del row[-1]
        del widths[-1]
    widths[0] = min(longest, max(shortest, width - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = []
    for row in table:
        cells = [shorten(row[0], widths[0]).ljust(widths[0])]
        cells += [cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _find_shortest(names: Sequence[str], most: int) -> int:
    """The least letters with which different names stay different, at least `_SHORTEST_NAME` and at most so many."""
    for size in range(_SHORTEST_NAME, most):
        if len({shorten(name, size) for name in names}) == len(set(names)):
            return size
    return max(most, _SHORTEST_NAME)
