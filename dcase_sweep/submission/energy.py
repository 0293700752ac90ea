"""Energy of the predictions of an evaluation set, which the challenge asks for since 2023 [B4 in `rules`]."""

import json
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcase_sweep.config import Tracking
from dcase_sweep.evaluation.result import read_metrics
from dcase_sweep.submission.metadata import OPEN
from dcase_sweep.tracking.energy import check_energy, measured_energy
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text

_MEASURED = Tracking(energy=True)
_METRIC = "energy/evaluation_kwh"
#: In the folder of the predictions, so that a continued command adds to it.
_FILE = "energy.json"
#: The keys of the metadata with the energy.
_SECTION, _KEY = ("system", "complexity", "energy"), "evaluation_kwh"


@dataclass(frozen=True, slots=True)
class _EnergyFile:
    """Stores the measured energy, as a run does."""

    path: Path

    def logged_metrics(self) -> dict[str, float]:
        return read_metrics(self.path)

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, json.dumps(metrics))


def check_measurable() -> None:
    """Check that energy can be measured.

    Raises:
        UserError: if CodeCarbon is not installed.
    """
    try:
        check_energy(_MEASURED)
    except UserError as error:
        raise UserError(str(error).replace("tracking.energy=true", "--energy")) from None


@contextmanager
def measured(folder: Path) -> Iterator[None]:
    """Measure the energy used in this context, and add it to the value in the folder of predictions."""
    with measured_energy("evaluation", _MEASURED, _EnergyFile(folder / _FILE)):
        yield


def read_energy(folders: Sequence[Path]) -> float | None:
    """Return the mean energy of the predictions in some folders, kWh; None if one was not measured."""
    found = [read_metrics(folder / _FILE).get(_METRIC) for folder in folders]
    known = [each for each in found if each is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def state_energy(metadata: MutableMapping[str, Any], kwh: float | None) -> None:
    """Write the energy of the predictions into the metadata of a system, unless the user has set it.

    Args:
        metadata: metadata of the system.
        kwh: energy in kWh; 0 before the measurement; None = it could not be measured.
    """
    section: Any = metadata
    for name in _SECTION:
        if not isinstance(section.get(name), dict):
            section[name] = {}
        section = section[name]
    if section.get(_KEY, OPEN) in (OPEN, 0.0):
        section[_KEY] = OPEN if kwh is None else round(kwh, 9)
