"""Writing and validation of the output file of a scene classifier [V1, P1 in `rules`]."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dcase_sweep.submission.problems import Problems
from dcase_sweep.submission.rules import SubmissionRules
from dcase_sweep.submission.scores import ScoredRecording
from dcase_sweep.utils.tables import Table, parse_number, read_table
from dcase_sweep.utils.text import printable

#: Largest deviation of the sum of a row from one: ten probabilities are rounded to three decimals.
_SUM_TOLERANCE = 5e-3
_NUMBERED = re.compile(r"(\d{1,9})\.wav")


def write_scenes(scored: Iterable[ScoredRecording], classes: Sequence[str], columns: Sequence[str]) -> str:
    """Format a tab-separated table: filename, the most probable scene, and the probability of each scene [V1].

    Probabilities have the nine digits of float32, because log loss depends on those of small ones.

    Args:
        scored: probabilities ``[class]`` of each recording.
        classes: the classes in the order of the probabilities.
        columns: the classes in the order of the table.
    """
    order = [list(classes).index(name) for name in columns]
    lines = ["\t".join(["filename", "scene_label", *columns])]
    for each in scored:
        label = classes[int(np.argmax(each.scores))]
        lines.append("\t".join([each.recording.filename, label, *(f"{each.scores[place]:.9g}" for place in order)]))
    return "\n".join(lines) + "\n"


def check_scenes(
    path: Path, rules: SubmissionRules, where: str, expected: Sequence[str] | None, problems: Problems
) -> None:
    """Add a line for each problem of an output file.

    Args:
        path: path of the file.
        rules: the rules of the challenge.
        where: name of the file, for messages.
        expected: names of the recordings of the evaluation set; None = those that the rules define.
        problems: the lines are added to it.
    """
    with problems.caught():
        columns = ("filename", "scene_label", *rules.classes)
        rows: list[str] = []
        table = read_table(path, columns, unit="line", problems=rows)
        if not problems.has_tabs(table, where):
            return
        problems.add_kind(where, rows)
        if further := [name for name in table.header if name not in columns]:  # [V1] counts the fields
            problems.add(f"{where}: unknown column {printable(further[0], 60)}; expected {', '.join(columns)}")
        _check_files(table, rules, where, expected, problems)
        _check_rows(table, rules, where, problems)


def check_names(
    names: Sequence[str], places: Sequence[str], rules: SubmissionRules, where: str, problems: Problems
) -> None:
    """Add lines for recordings that are not in the evaluation set, and for a wrong number of them.

    Args:
        names: names of the recordings, without duplicates.
        places: location of each name, for messages.
        rules: the rules of the challenge.
        where: name of the file or folder, for messages.
        problems: the lines are added to it.
    """
    if rules.clips is None:
        return
    wrong = []
    for name, place in zip(names, places, strict=True):
        number = _NUMBERED.fullmatch(name)
        if number is None or int(number[1]) >= rules.clips:
            wrong.append(f"{place}: {printable(name, 80)}: expected 0.wav to {rules.clips - 1}.wav")
    problems.add_kind(where, wrong)
    if len(names) != rules.clips:
        problems.add(
            f"{where}: {len(names):,} recordings; expected {rules.clips:,}, the evaluation set of {rules.year}"
        )


def _check_files(
    table: Table, rules: SubmissionRules, where: str, expected: Sequence[str] | None, problems: Problems
) -> None:
    """Check that each recording of the evaluation set occurs once; folders before a name are ignored [V1]."""
    first: dict[str, int] = {}
    twice = []
    for row, filename in enumerate(table.columns["filename"]):
        name = Path(filename).name
        if name in first:
            line = f"{where}, line {table.lines[row]}: {printable(name, 80)}"
            twice.append(f"{line} is also in line {table.lines[first[name]]}; expected each recording once")
        first.setdefault(name, row)
    problems.add_kind(where, twice)
    check_names(list(first), [f"{where}, line {table.lines[row]}" for row in first.values()], rules, where, problems)
    if expected is not None:
        wanted = set(expected)
        unknown = [
            f"{where}: {printable(name, 80)} is not in the evaluation set" for name in first if name not in wanted
        ]
        problems.add_kind(where, unknown)
        problems.add_kind(
            where, [f"{where}: no row for {printable(name, 80)}" for name in expected if name not in first]
        )


def _check_rows(table: Table, rules: SubmissionRules, where: str, problems: Problems) -> None:
    labels, numbers, sums, best = [], [], [], []
    columns = [table.columns[name] for name in rules.classes]
    for row, label in enumerate(table.columns["scene_label"]):
        line = f"{where}, line {table.lines[row]}"
        values = [parse_number(column[row]) for column in columns]
        for name, value, column in zip(rules.classes, values, columns, strict=True):
            if value is None or not 0 <= value <= 1:
                numbers.append(f"{line}: {name} is {printable(column[row], 40)}; expected a probability from 0 to 1")
        if label not in rules.classes:
            labels.append(f"{line}: scene_label {printable(label, 40)}: expected one of {', '.join(rules.classes)}")
        probabilities = [value for value in values if value is not None]
        if len(probabilities) < len(values):
            continue
        if abs(sum(probabilities) - 1) > _SUM_TOLERANCE:
            sums.append(f"{line}: probabilities sum to {sum(probabilities):.6g}; expected 1")
        elif label in rules.classes and probabilities[rules.classes.index(label)] < max(probabilities):
            found = rules.classes[probabilities.index(max(probabilities))]
            best.append(f"{line}: scene_label {label}, but {found} is more probable; expected the most probable scene")
    for kind in (labels, numbers, sums, best):
        problems.add_kind(where, kind)
