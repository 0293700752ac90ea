"""How an experiment ended, for whoever asked for it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    """A metric as a table of several experiments shows it."""

    #: By its name among a run's metrics.
    metric: str
    title: str
    #: What the value is multiplied by: 100 for a percentage.
    factor: float = 1.0
    digits: int = 3
    #: Another metric: the column is left out while no value is more than a hundredth below that one.
    unless_near: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How an experiment ended."""

    status: str
    name: str
    folder: str
    run_id: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    #: Shown with the metrics wherever they are shown.
    note: str | None = None
    #: The metrics that a comparison with other experiments shows, in this order.
    columns: tuple[Column, ...] = ()
