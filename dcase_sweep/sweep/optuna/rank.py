"""The order of trials, as that of Optuna's TPE."""

from optuna.trial import FrozenTrial, TrialState


def sum_violations(trial: FrozenTrial) -> float:
    """Return by how much a trial violates its constraints; 0 if it violates none."""
    return sum(violation for violation in trial.constraints.values() if violation > 0)


def rank(trial: FrozenTrial, sign: float) -> tuple[float, ...]:
    """Return the place of a finished or pruned trial of one objective among others; smaller is better.

    Finished trials are ordered by their value, then pruned ones by their steps, then those that violate a constraint.

    Args:
        trial: the trial.
        sign: -1 if larger values are better.
    """
    violation = sum_violations(trial)
    if violation > 0:
        return 2.0, violation
    if trial.state == TrialState.COMPLETE:
        return 0.0, sign * float(trial.values[0])
    if not trial.intermediate_values:
        return 1.0, 1.0, 0.0
    last = max(trial.intermediate_values)
    value = trial.intermediate_values[last]
    return 1.0, -float(last), float("inf") if value != value else sign * value
