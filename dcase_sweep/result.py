"""The result of an experiment."""

from dataclasses import dataclass, field

from dcase_sweep.sweep.comparison import Column as Column


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an experiment."""

    #: ``finished``, ``failed``, ``stopped`` by a callback, or ``interrupted`` before a time limit.
    status: str
    name: str
    folder: str
    run_id: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    #: A note that is shown with the metrics.
    note: str | None = None
    #: The metrics that a comparison shows, in this order.
    columns: tuple[Column, ...] = ()
