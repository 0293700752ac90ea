"""The metrics that a comparison of experiments shows: those that the task of each experiment names."""

from collections.abc import Iterable

from dcase_sweep import result
from dcase_sweep.sweep.comparison import Column


def make_columns(columns: Iterable[result.Column]) -> tuple[Column, ...]:
    """The columns of an experiment's result as those of a sweep's table."""
    return tuple(
        Column(each.metric, each.title, factor=each.factor, digits=each.digits, unless_near=each.unless_near)
        for each in columns
    )
