"""The trials that the figures of a long search show."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna import study as records

#: Largest number of trials in a figure. Each takes milliseconds, and more cannot be told apart.
MOST_DRAWN = 400


def list_evaluated(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the finished and pruned trials."""
    return [trial for trial in trials if records.kind(trial) in ("finished", "pruned")]


def sample(trials: Sequence[FrozenTrial], directions: Sequence[str], most: int = MOST_DRAWN) -> set[int]:
    """Return the numbers of the trials to draw: all of them, or a part of many.

    A part contains each trial that was the best so far, so that the line of the best is that of all trials, and others
    at equal distances.

    Args:
        trials: all trials of a study.
        directions: ``maximize`` or ``minimize`` for each objective.
        most: the largest number of trials.
    """
    evaluated = list_evaluated(trials)
    if len(evaluated) <= most:
        return {trial.number for trial in evaluated}
    steps = sorted(set().union(*(_list_bests(evaluated, place, each) for place, each in enumerate(directions))))
    chosen = set(steps[-most // 2 :])  # the last ones, should there be many
    rest = [trial.number for trial in evaluated if trial.number not in chosen]
    count = most - len(chosen)
    return chosen | {rest[position * len(rest) // count] for position in range(count)}


def _list_bests(evaluated: Sequence[FrozenTrial], place: int, direction: str) -> set[int]:
    """Return the trials that were the best so far in one objective."""
    sign = 1 if direction == "maximize" else -1
    found, best = set(), float("-inf")
    for trial in evaluated:
        if records.kind(trial) == "finished" and sign * float(trial.values[place]) > best:
            best = sign * float(trial.values[place])
            found.add(trial.number)
    return found
