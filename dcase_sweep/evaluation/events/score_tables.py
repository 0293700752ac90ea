"""Scores of other programs: a table for each clip, as sed_scores_eval and the DCASE baselines since 2022 write them."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.decode import FilteredScores, ScoreBatch
from dcase_sweep.evaluation.events.event_rows import latest_end
from dcase_sweep.evaluation.events.ground_truth import OVERHANG, GroundTruth
from dcase_sweep.utils.errors import DataError, UserError
from dcase_sweep.utils.tables import Table, read_table

#: Columns of each table; all others are classes.
TIMES = ("onset", "offset")
_EXPECTED = "a table of scores with onset, offset and a column for each class"
#: Frames follow one another if their borders differ by less (s).
_TOLERANCE = 1e-6
#: The fraction of a clip at an end for which scores may be missing, in addition to a frame.
_UNCOVERED = 0.05


def list_tables(folder: Path) -> list[Path]:
    """List the tables (.tsv, .csv) in a folder by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".tsv", ".csv"))


def holds_scores(folder: Path) -> bool:
    """Whether the tables in a folder are scores of clips, not detections; the first one decides."""
    paths = list_tables(folder) if folder.is_dir() else []
    try:
        header = read_table(paths[0]).header if paths else ()
    except (UserError, DataError):
        return False
    return set(TIMES) <= set(header) and not {"filename", "event_label"} & set(header)


def read_score_tables(
    folder: Path, truth: GroundTruth, *, labels: Sequence[str] | None = None
) -> tuple[FilteredScores, GroundTruth]:
    """Read the scores of clips, and return them with the ground truth of these clips and classes.

    A table belongs to the clip with its name, without the suffixes. A row has the beginning and the end of a frame (s)
    and the score of each class, 0 to 1. Frames may differ in length. Scores are taken as they are, without a filter.

    Args:
        folder: folder with a table (.tsv or .csv) for each clip.
        truth: the ground truth; its clips may lack a table.
        labels: the classes that the tables must have; None = those of the first table.

    Raises:
        DataError: with a line for each table that is not as described.
        UserError: if no table is there, or the ground truth has events of a class without a column.
    """
    paths = list_tables(folder)
    if not paths:
        raise UserError(f"{folder}: contains no .tsv or .csv table; expected a table of scores for each clip")
    if labels is None:
        labels = sorted(_classes(read_table(paths[0], TIMES, expected=_EXPECTED)))
    clips: dict[str, list[str]] = {}
    for name in truth.clips:
        clips.setdefault(PurePosixPath(name).stem, []).append(name)
    problems: list[str] = []
    found: dict[str, tuple[Path, NDArray[np.float64], NDArray[np.float64]]] = {}
    for path in paths:
        clip = _find_clip(path, clips, problems)
        scores = _read(path, labels, problems)
        if clip is None or scores is None:
            continue
        if clip in found:
            problems.append(f"{path}: scores of {clip}, as in {found[clip][0].name}; expected one table for each clip")
        found[clip] = (path, *scores)
    if problems:
        raise DataError(problems)
    known = truth.with_labels(labels).restricted_to(found.keys())
    for clip, duration in zip(known.clips, known.durations.tolist(), strict=True):
        path, borders, _ = found[clip]
        frame = float(np.diff(borders).max())
        problem = find_gap(float(borders[0]), float(borders[-1]), frame, duration)
        if problem is not None:
            problems.append(f"{path}: {problem}")
    if problems:
        raise DataError(problems)
    scored = [found[clip][1:] for clip in known.clips]
    return FilteredScores(known.clips, known.labels, _batch(scored)), known


def _find_clip(path: Path, clips: dict[str, list[str]], problems: list[str]) -> str | None:
    named = clips.get(path.stem, [])
    if len(named) != 1:
        several = f"the name of {' and '.join(named[:2])}" if named else "no clip with this name has a duration"
        problems.append(f"{path}: {several}; expected the name of one clip, with .tsv instead of its suffix")
        return None
    return named[0]


def _classes(table: Table) -> list[str]:
    return [name for name in table.header if name and name not in TIMES]


def _read(
    path: Path, labels: Sequence[str], problems: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the borders ``[frame + 1]`` (s) and the scores ``[frame, class]`` of a table, or add its problem."""
    try:
        table = read_table(path, [*TIMES, *labels], expected=_EXPECTED)
    except DataError as error:
        problems += error.problems
        return None
    except UserError as error:
        problems.append(str(error))
        return None
    more = [name for name in _classes(table) if name not in labels]
    if more:
        problems.append(f"{path}: column {more[0]}; expected the classes {', '.join(labels)} alone")
        return None
    try:
        onset, offset, *scores = np.array([table.columns[name] for name in (*TIMES, *labels)], dtype=np.float64)
    except ValueError:
        problems.append(f"{path}: not numbers alone; expected {_EXPECTED}")
        return None
    values = np.stack(scores, axis=1)
    problem = _find_problem(onset, offset, values)
    if problem is not None:
        problems.append(f"{path}: {problem}")
        return None
    return np.append(onset, offset[-1]), values


def _find_problem(onset: NDArray[np.float64], offset: NDArray[np.float64], values: NDArray[np.float64]) -> str | None:
    """Describe what is wrong with the frames or scores of a clip; None if nothing is."""
    if not len(onset):
        return "no rows; expected one for each frame"
    if not all(np.isfinite(each).all() for each in (onset, offset, values)):
        return "a value that is not finite; expected numbers"
    if not (onset < offset).all() or (np.abs(onset[1:] - offset[:-1]) > _TOLERANCE).any() or onset[0] < 0:
        return "its frames do not follow one another; expected onset before offset, and each onset the offset above it"
    if (values < 0).any() or (values > 1).any():
        return f"scores from {values.min():g} to {values.max():g}; expected 0 to 1"
    return None


def find_gap(begin: float, end: float, frame: float, duration: float) -> str | None:
    """Describe frames that do not cover a clip, as in a table that was cut off; None if they do.

    Frames may end after the clip, because networks pad clips.

    Args:
        begin: beginning of the first frame (s).
        end: end of the last frame (s).
        frame: length of the longest frame (s).
        duration: duration of the clip (s).
    """
    if end > latest_end(duration):
        return f"its frames end at {end:g} s, the clip at {duration:g} s; expected times in seconds"
    tolerance = frame + max(_UNCOVERED * duration, OVERHANG)
    if begin > tolerance or end < duration - tolerance:
        return f"its frames are from {begin:g} to {end:g} s; expected scores for all {duration:g} s of the clip"
    return None


def _batch(scored: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[ScoreBatch, ...]:
    """Group the borders and scores of clips by their borders."""
    groups: dict[bytes, list[int]] = {}
    for index, (borders, _) in enumerate(scored):
        groups.setdefault(borders.tobytes(), []).append(index)
    return tuple(
        ScoreBatch(
            np.array(members, dtype=np.intp),
            np.stack([scored[index][1] for index in members], axis=1),
            scored[members[0]][0],
        )
        for members in groups.values()
    )
