"""Reading of the table of an interrupted ``predict``, which is continued."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.inference.tables import Format
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text_files import read_text


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """What an interrupted command has written.

    Attributes:
        kept: the text without the last recording, which may be incomplete.
        last: name of that recording; None if there is none.
        columns: the columns of the table, or the classes of the lines; None if there are none.
    """

    kept: str = ""
    last: str | None = None
    columns: list[str] | None = None


def read_written(path: Path, form: Format) -> WrittenTable:
    """Read the table of an interrupted command.

    Raises:
        UserError: for any other file.
    """
    text = read_text(path, expected="a table of predictions")
    whole = text[: text.rfind("\n") + 1]  # a line may have been cut off
    if form == "jsonl":
        return _read_lines(path, whole)
    records = split_table(whole, form)
    if records and records[0][:1] != ["filename"]:
        raise UserError(f"{path}: not a table of predictions; expected the output of an interrupted command")
    if len(records) < 2:
        return WrittenTable()
    last = records[-1][0]
    while records[-1][:1] == [last]:
        records.pop()
    kept = io.StringIO()
    csv.writer(kept, delimiter=_delimiter(form), lineterminator="\n").writerows(records)
    return WrittenTable(kept.getvalue(), last, records[0])


def _read_lines(path: Path, whole: str) -> WrittenTable:
    if not whole:
        return WrittenTable()
    # Not splitlines: the name of a file may contain what Unicode takes for the end of a line.
    before, _, line = whole.removesuffix("\n").rpartition("\n")
    try:
        return WrittenTable(f"{before}\n" if before else "", str(json.loads(line)["filename"]), columns_of_line(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not lines of predictions; expected the output of an interrupted command") from None


def columns_of_line(line: str) -> list[str]:
    """Return the classes of a line, whose order is that of their probabilities, in alphabetical order."""
    return sorted(json.loads(line)["probabilities"].keys())


def split_table(text: str, form: Format) -> list[list[str]]:
    """Return the rows of a table with its header."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(form)))


def _delimiter(form: Format) -> str:
    return "\t" if form == "tsv" else ","
