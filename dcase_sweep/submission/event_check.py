"""Validation of the output files of an event detector. [V4] and [B4] are the sources in `rules`."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from dcase_sweep.evaluation.events.decode import OFFICIAL_THRESHOLDS, psds_thresholds
from dcase_sweep.evaluation.events.detections import find_threshold_tables
from dcase_sweep.evaluation.events.event_rows import EVENT_COLUMNS
from dcase_sweep.submission.event_output import FILTERED, THRESHOLDS, TIME_COLUMNS, UNFILTERED
from dcase_sweep.submission.problems import Problems
from dcase_sweep.submission.recordings import EvaluationRecording
from dcase_sweep.submission.rules import EVENT_OUTPUT, SubmissionRules
from dcase_sweep.utils.tables import Table, parse_number, read_table
from dcase_sweep.utils.text import printable

#: Seconds by which the times of a table may exceed a recording, because they are multiples of a frame.
_TOLERANCE = 0.1
#: Number of missing thresholds that are named.
_MOST_NAMED = 8


def check_events(
    folder: Path,
    rules: SubmissionRules,
    recordings: Sequence[EvaluationRecording] | None,
    problems: Problems,
) -> set[str]:
    """Add a line for each problem of the tables of a system; return the names of its files and folders.

    Args:
        folder: folder of the system.
        rules: the rules of the challenge.
        recordings: the recordings of the evaluation set; None = not known.
        problems: the lines are added to it.
    """
    seconds = {each.filename: each.seconds for each in recordings} if recordings is not None else None
    if rules.trainings > 1:
        return _check_trainings(folder, rules, seconds, problems)
    output = folder / f"{folder.name}{EVENT_OUTPUT}"
    if output.is_file():
        _check_event_table(output, rules, output.name, seconds, problems)
    else:
        problems.add(f"{folder.name}: no {output.name}; expected the events at one threshold")
    tables = folder / f"{folder.name}{THRESHOLDS}"
    if not tables.is_dir():
        problems.add(f"{folder.name}: no folder {tables.name}; expected the events at {OFFICIAL_THRESHOLDS} thresholds")
        return {output.name}
    with problems.caught():
        found = find_threshold_tables(tables)
        if len(found) != OFFICIAL_THRESHOLDS:  # [B4] n_test_thresholds
            problems.add(f"{tables.name}: {len(found)} thresholds; expected {_describe_thresholds(found)}")
        for path in found.values():
            _check_event_table(path, rules, f"{tables.name}/{path.name}", seconds, problems)
    return {output.name, tables.name}


def _describe_thresholds(found: Iterable[float]) -> str:
    """Name the thresholds of the recipe, and those of which there is no table unless there are others."""
    recipe = [f"{threshold:g}" for threshold in psds_thresholds().round(6)]
    expected = f"{OFFICIAL_THRESHOLDS}, such as {', '.join(recipe[:2])} ... {recipe[-1]}"
    given = {f"{threshold:g}" for threshold in found}
    if not given <= set(recipe):
        return expected
    missing = [threshold for threshold in recipe if threshold not in given]
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    return f"{expected}; no table of {', '.join(missing[:_MOST_NAMED])}{more}"


def _check_event_table(
    path: Path, rules: SubmissionRules, where: str, seconds: Mapping[str, float] | None, problems: Problems
) -> None:
    with problems.caught():
        rows: list[str] = []
        table = read_table(path, EVENT_COLUMNS, unit="line", problems=rows, may_be_short=True)
        if not problems.has_tabs(table, where):
            return
        problems.add_kind(where, rows)
        kinds: dict[str, list[str]] = {"filename": [], "event_label": [], "onset": [], "overlap": []}
        for row in range(len(table)):
            _check_event(table, row, rules, where, seconds, kinds)
        kinds["overlap"] += _find_overlaps(table, where)
        for lines in kinds.values():
            problems.add_kind(where, lines)


def _check_event(
    table: Table,
    row: int,
    rules: SubmissionRules,
    where: str,
    seconds: Mapping[str, float] | None,
    kinds: Mapping[str, list[str]],
) -> None:
    filename, onset_text, offset_text, label = (table.columns[name][row] for name in EVENT_COLUMNS)
    line = f"{where}, line {table.lines[row]}"
    if seconds is not None and filename not in seconds:
        kinds["filename"].append(f"{line}: {printable(filename, 80)} is not in the evaluation set")
    elif not filename.endswith(".wav"):
        kinds["filename"].append(f"{line}: {printable(filename, 80)}; expected a name that ends in .wav")
    if not (onset_text or offset_text or label):
        return  # a recording without an event
    if label not in rules.classes:
        expected = ", ".join(rules.classes)
        kinds["event_label"].append(f"{line}: event_label {printable(label, 40)}; expected one of {expected}")
    onset, offset = parse_number(onset_text), parse_number(offset_text)
    end = (seconds or {}).get(filename, float("inf"))
    if onset is None or offset is None or not 0 <= onset < offset <= end + _TOLERANCE:
        times = printable(f"{onset_text} to {offset_text}", 60)
        within = f", at most {end:g} s" if end < float("inf") else ""
        kinds["onset"].append(f"{line}: {times}; expected 0 <= onset < offset{within}")


def _find_overlaps(table: Table, where: str) -> list[str]:
    """Describe events that overlap another of their class, repeated rows included, which psds_eval refuses."""
    events = []
    for row, (filename, onset, offset, label) in enumerate(
        zip(*(table.columns[name] for name in EVENT_COLUMNS), strict=True)
    ):
        begin, end = parse_number(onset), parse_number(offset)
        if begin is not None and end is not None:
            events.append((filename, label, begin, end, table.lines[row]))
    return [
        f"{where}, line {line}: {printable(label, 40)} overlaps that of line {before}; expected one event"
        for (name, other, _, until, before), (filename, label, begin, _, line) in pairwise(sorted(events))
        if (name, other) == (filename, label) and begin < until
    ]


def _check_trainings(
    folder: Path, rules: SubmissionRules, seconds: Mapping[str, float] | None, problems: Problems
) -> set[str]:
    names = set()
    for number in range(1, rules.trainings + 1):
        for end in (FILTERED, UNFILTERED):
            place = folder / f"{folder.name}_run{number}{end}"
            names.add(place.name)
            if place.is_dir():
                _check_score_folder(place, rules, place.name, seconds, problems)
            elif end == FILTERED:
                problems.add(
                    f"{folder.name}: no folder {place.name}; expected the scores of {rules.trainings} trainings"
                )
    return names


def _check_score_folder(
    place: Path, rules: SubmissionRules, where: str, seconds: Mapping[str, float] | None, problems: Problems
) -> None:
    found = {path.stem: path for path in sorted(place.iterdir()) if path.suffix == ".tsv"}
    others = [path.name for path in place.iterdir() if path.suffix != ".tsv"]
    problems.add_kind(where, [f"{where}: {printable(name, 80)} is no table of scores (.tsv)" for name in others])
    if not found:
        problems.add(f"{where}: no tables of scores; expected one for each recording")
    if seconds is not None:
        wanted = {Path(name).stem: value for name, value in seconds.items()}
        missing = [f"{where}: no {printable(name, 80)}.tsv" for name in wanted if name not in found]
        problems.add_kind(where, missing)
        unknown = [
            f"{where}: {printable(name, 80)}.tsv is not in the evaluation set" for name in found if name not in wanted
        ]
        problems.add_kind(where, unknown)
    else:
        wanted = {}
    wrong: list[str] = []
    for name, path in found.items():
        own = Problems()
        with own.caught():
            _check_score_table(path, rules, f"{where}/{path.name}", wanted.get(name), own)
        wrong += own
    problems.add_kind(where, wrong)


def _check_score_table(
    path: Path, rules: SubmissionRules, where: str, seconds: float | None, problems: Problems
) -> None:
    columns = (*TIME_COLUMNS, *rules.classes)
    table = read_table(path, columns, unit="line")
    if not problems.has_tabs(table, where):
        return
    further = [name for name in table.header if name not in columns]
    try:
        values = np.array([table.columns[name] for name in columns], dtype=np.float64)
    except ValueError:
        values = np.full((len(columns), 1), np.nan)
    onset, offset, scores = values[0], values[1], values[2:]
    if not len(table) or not np.isfinite(values).all():
        problems.add(f"{where}: not numbers alone; expected a row of scores for each frame")
    elif onset[0] != 0 or not (onset < offset).all() or not np.allclose(onset[1:], offset[:-1], atol=1e-6):
        problems.add(f"{where}: its frames do not follow one another from 0 on; expected onset = offset before it")
    elif seconds is not None and offset[-1] > seconds + _TOLERANCE:
        problems.add(f"{where}: ends at {offset[-1]:g} s; expected at most {seconds:g} s")
    elif seconds is not None and offset[-1] < seconds - _TOLERANCE - (offset - onset).max():
        problems.add(f"{where}: ends at {offset[-1]:g} s; expected scores of all {seconds:g} s")
    elif further:
        problems.add(f"{where}: column {printable(further[0], 60)}; expected {', '.join(columns)}")
    elif (scores < 0).any() or (scores > 1).any():
        problems.add(f"{where}: a score of {scores.min():g} or {scores.max():g}; expected 0 to 1")
