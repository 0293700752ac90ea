"""How an experiment ended, for whoever asked for it."""

from dataclasses import dataclass, field

from dcase_sweep.sweep.comparison import Column as Column


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
