"""Assignment of recordings to training, validation and test: from a table, or by group."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dcase_sweep.data.folder.splits import SPLITS, Indices, Strata, hold_out, make_folds, parse_split
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Largest number of values in a message.
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """The keys of ``data`` for splits.

    Raises:
        UserError: for a value out of range.
    """

    fold: int | str | None
    folds: int
    test_fraction: float
    validation_fraction: float
    seed: int

    def __post_init__(self) -> None:
        for key in ("test_fraction", "validation_fraction"):
            value = getattr(self, key)
            if not 0 < value < 1:
                raise UserError(f"data.{key}={value}: expected a fraction between 0 and 1")
        if self.folds < 2:
            raise UserError(f"data.folds={self.folds}: expected at least 2")
        if self.seed < 0:
            raise UserError(f"data.split_seed={self.seed}: expected at least 0")


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Indices of the recordings of each split, and a line that describes their origin."""

    train: Indices
    validation: Indices
    test: Indices
    description: str
    #: The fold of the table that is the test split; empty if there is none.
    fold: str = ""
    #: One line about groups that are in several splits of the table; empty if there are none.
    leak: str = ""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Test and validation splits as far as the table or ``data.fold`` defines them; None if not defined."""

    test: Indices | None
    validation: Indices | None
    description: str
    fold: str = ""


def assign_splits(
    labels: Sequence[Sequence[str]],
    groups: Sequence[str],
    splits: Sequence[str],
    folds: Sequence[str],
    where: Sequence[str],
    settings: SplitSettings,
    source: str,
    problems: list[str],
    *,
    is_strict: bool = True,
    trained: Collection[str] = (),
) -> Splits | None:
    """Assign every recording to a split; return None if the splits or folds of the table are invalid.

    With ``data.fold``, that fold is the test split; the fold is from the table, or folds are created. Otherwise the
    splits of the table are used or, if it has none, the first of its folds is the test split. Missing test and
    validation splits are created from the remaining recordings, stratified by label and by whole groups.

    Args:
        labels: labels of each recording; a recording may have several or none.
        groups: group of each recording; empty for a recording that is its own group.
        splits: split of each recording in the table; empty if the table does not specify it.
        folds: fold of each recording, likewise.
        where: table and row of each recording, for messages.
        settings: the keys of the configuration.
        source: the table or folder, for messages.
        problems: list that receives a line for each problem.
        is_strict: whether a group in several splits of the table is a problem; otherwise it is only described.
        trained: labels of further training recordings.

    Raises:
        UserError: for a fold that does not exist.
    """
    names = [group or f"{index}\0" for index, group in enumerate(groups)]
    strata = Strata.of(labels, names)
    found, leaks = len(problems), list[str]()
    if settings.fold is None and any(splits):
        parts = _read_splits(splits, where, source, problems)
        leaks = _find_leaks(groups, [parse_split(word) or "" for word in splits], where, "split")
    elif any(folds):
        parts = _choose_fold(folds, settings.fold, source)
        leaks = _find_leaks(groups, folds, where, "fold")
    elif settings.fold is not None:
        parts = _make_fold(strata, labels, names, settings, source, trained)
    else:
        parts = _Parts(None, None, "")
    problems += leaks if is_strict else []
    if len(problems) > found:
        return None
    made = _complete(strata, parts, settings, has_groups=any(groups))
    empty = [name for name in ("train", "validation", "test") if not len(getattr(made, name))]
    if empty:
        problems.append(
            f"{source}: no clip for {' and '.join(empty)}: {pluralize(len(labels), 'recording')} in "
            f"{pluralize(len(set(names)), 'group')}; expected more, or splits in the table"
        )
    problems += _find_unseen(labels, made, source, trained)
    leak = f"{pluralize(len(leaks), 'group')} in two splits of the table; the first: {leaks[0]}" if leaks else ""
    return None if len(problems) > found else replace(made, leak=leak)


def _read_splits(splits: Sequence[str], where: Sequence[str], source: str, problems: list[str]) -> _Parts:
    """Return the splits that a table specifies."""
    words = ", ".join(word for each in SPLITS.values() for word in each)
    parsed = [parse_split(word) for word in splits]
    problems += [
        f"{row}: split {printable(word, 40)!r}; expected one of {words}"
        for row, word, split in zip(where, splits, parsed, strict=True)
        if split is None
    ]
    parts = {name: _where([split == name for split in parsed]) for name in SPLITS}
    if not len(parts["train"]) and all(parsed):
        problems.append(f"{source}: no recording of the split train; expected some to train on")
    given = [name for name in SPLITS if len(parts[name])]
    test, validation = (parts[name] if len(parts[name]) else None for name in ("test", "validation"))
    return _Parts(test, validation, f"{', '.join(given)} as given")


def _choose_fold(folds: Sequence[str], wanted: int | str | None, source: str) -> _Parts:
    """Return the fold of a table that is the test split."""
    names = sorted(set(folds), key=_by_number)
    chosen = names[0] if wanted is None else str(wanted)
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    if len(names) < 2:
        raise UserError(f"{source}: a single fold, {printable(shown, 40)}; expected at least two")
    if chosen not in names:
        raise UserError(f"data.fold={printable(chosen, 40)}: {source} has no such fold; expected one of {shown}")
    hint = "" if wanted is not None else " (data.fold chooses another)"
    return _Parts(_where([fold == chosen for fold in folds]), None, f"fold {chosen} of {shown} is tested{hint}", chosen)


def _make_fold(
    strata: Strata,
    labels: Sequence[Sequence[str]],
    names: Sequence[str],
    settings: SplitSettings,
    source: str,
    trained: Collection[str],
) -> _Parts:
    """Create folds, and return the one that is the test split."""
    fold = settings.fold
    if isinstance(fold, str) or fold is None or not 1 <= fold <= settings.folds:
        raise UserError(f"data.fold={fold}: expected 1 to data.folds={settings.folds}, since the table has no folds")
    if len(set(names)) < settings.folds:
        raise UserError(
            f"data.folds={settings.folds}: {source} has {pluralize(len(set(names)), 'group')} of recordings; expected "
            "at least as many as folds"
        )
    known = sorted({label for each in labels for label in each})
    groups_with = strata.counts.astype(bool).sum(axis=0)
    single = [label for label, count in zip(known, groups_with, strict=True) if count == 1 and label not in trained]
    if single:
        raise UserError(
            f"data.fold={fold}: all recordings of {printable(single[0], 40)} are in one group; expected at least two, "
            "so that the class has training clips when that group is tested"
        )
    folds = make_folds(strata, settings.folds, settings.seed)
    return _Parts(_where(folds == fold), None, f"fold {fold} of {settings.folds} made is tested")


def _complete(strata: Strata, parts: _Parts, settings: SplitSettings, *, has_groups: bool) -> Splits:
    """Create a missing test or validation split."""
    how = [parts.description] if parts.description else []
    everything = np.arange(len(strata.group))
    test, validation = parts.test, parts.validation
    taken = [part for part in (test, validation) if part is not None]
    rest = np.setdiff1d(everything, np.concatenate(taken)) if taken else everything
    made = []
    if test is None:
        test = hold_out(strata, rest, fraction=settings.test_fraction, seed=settings.seed)
        rest = np.setdiff1d(rest, test)
        made.append(f"{100 * settings.test_fraction:g} % to test")
    if validation is None:
        validation = hold_out(strata, rest, fraction=settings.validation_fraction, seed=settings.seed)
        rest = np.setdiff1d(rest, validation)
        made.append(f"{100 * settings.validation_fraction:g} % of the rest to validate")
    if made:
        how.append(f"{' and '.join(made)}, by class" + (" and group" if has_groups else ""))
    return Splits(rest, validation, test, "; ".join(how), parts.fold)


def _find_leaks(groups: Sequence[str], parts: Sequence[str], where: Sequence[str], what: str) -> list[str]:
    """Describe each group that is in two splits or folds."""
    first: dict[str, int] = {}
    problems, reported = [], set()
    for index, (group, part) in enumerate(zip(groups, parts, strict=True)):
        if not group or group in reported:
            continue
        other = first.setdefault(group, index)
        if parts[other] != part:
            reported.add(group)
            problems.append(
                f"{where[index]}: group {printable(group, 60)} is in {what} {printable(part, 40)}, but also in "
                f"{printable(parts[other], 40)} ({where[other].rpartition(', ')[2]}); expected a group in one {what}"
            )
    return problems


def _find_unseen(labels: Sequence[Sequence[str]], splits: Splits, source: str, trained: Collection[str]) -> list[str]:
    """Describe labels of validation or test clips without training clips."""
    trained = {label for index in splits.train for label in labels[index]} | set(trained)
    problems = []
    for name in ("validation", "test"):
        missing = sorted({label for index in getattr(splits, name) for label in labels[index]} - trained)
        if missing:
            problems.append(
                f"{source}: {name} clips of {printable(', '.join(missing))}, but no training clips; expected both"
            )
    return problems


def _where(mask: Sequence[bool] | np.ndarray) -> Indices:
    found: Indices = np.flatnonzero(np.asarray(mask, dtype=bool)).astype(np.int64)
    return found


def _by_number(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which 2 comes before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]
