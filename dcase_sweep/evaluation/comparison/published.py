"""Published results, shown next to measured ones. Their sources are in `experiments/README.md`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A published result on the data of the challenge."""

    task: str
    name: str
    #: Metric → mean and standard deviation; None if it was not published.
    metrics: Mapping[str, tuple[float, float | None]]
    runs: str


PUBLISHED = (
    PublishedResult(
        "1a",
        "DCASE 2021 baseline, TAU 2020 Mobile",
        {
            "test/accuracy": (0.477, 0.0098),
            "test/log_loss": (1.473, 0.051),
            "complexity/parameters": (46246, None),
        },
        "10",
    ),
    PublishedResult(
        "4",
        "DCASE 2021 baseline, teacher, DESED",
        {"test/psds1": (0.353, None), "test/psds2": (0.553, None), "test/f1": (0.421, None)},
        "1",
    ),
)
