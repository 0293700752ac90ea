"""Energy of training and evaluation, measured with CodeCarbon."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from dcase_sweep.config import Tracking
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError, first_line

if TYPE_CHECKING:
    from codecarbon import OfflineEmissionsTracker

log = logging.getLogger(__name__)

#: Time that a running measurement may take to end, in seconds.
_TIMEOUT = 5.0


def check_energy(tracking: Tracking) -> None:
    """Check that energy can be measured if it is configured.

    Raises:
        UserError: if CodeCarbon is not installed or does not know the country.
    """
    if not tracking.energy:
        return
    try:
        from codecarbon.input import DataSource
    except ImportError as error:
        raise UserError(
            f"tracking.energy=true: CodeCarbon cannot be imported ({error}); expected it installed: "
            "python -m pip install -c constraints.txt -e '.[energy]'"
        ) from None
    known = DataSource().get_global_energy_mix_data()
    if tracking.energy_country not in known:
        raise UserError(
            f"tracking.energy_country={tracking.energy_country}: not a country that CodeCarbon knows; expected the "
            "three letters of ISO 3166-1, e.g. FRA"
        )


@contextmanager
def measured_energy(phase: str, tracking: Tracking, run: Any) -> Iterator[dict[str, float]]:
    """Measure the energy used within this context and log it to the run, also if an error is raised.

    Logs ``energy/PHASE_kwh`` and ``energy/PHASE_kg_co2eq``, measured with CodeCarbon as in the baselines of task 4
    since 2022, here with its offline tracker, without files or network. A resumed run adds to its earlier figures. The
    yielded dictionary contains the same metrics after the block; it stays empty if nothing was measured.

    Args:
        phase: ``training`` or ``evaluation``.
        tracking: whether and how to measure.
        run: the MLflow run.
    """
    used: dict[str, float] = {}
    if not tracking.energy:
        yield used
        return
    with _CodeCarbonLog() as messages:
        tracker = _start(tracking)
        try:
            yield used
        except BaseException:
            with suppress(Exception):  # must not hide the error that ended the run
                _log(phase, tracker, run, messages)
            raise
        else:
            used |= _log(phase, tracker, run, messages)


class _CodeCarbonLog(logging.Filter):
    """Hides what CodeCarbon logs, and keeps the first exception, which it does not raise."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        logging.getLogger("codecarbon").addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("codecarbon").removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if self.error is None and record.exc_info:
            self.error = record.exc_info[1]
        return False


def _log(phase: str, tracker: Any, run: Any, messages: _CodeCarbonLog) -> dict[str, float]:
    _stop(tracker)
    found = getattr(tracker, "final_emissions_data", None)  # missing if CodeCarbon failed
    if found is None:
        error = messages.error
        reason = f": {first_line(str(error)) or type(error).__name__}" if error is not None else ""
        log.warning(f"energy    CodeCarbon could not measure the {phase}{reason}")
        return {}
    before = run.logged_metrics()
    used = {f"energy/{phase}_kwh": found.energy_consumed, f"energy/{phase}_kg_co2eq": found.emissions}
    used = {name: before.get(name, 0.0) + value for name, value in used.items()}
    run.log_metrics(used)
    console.field("energy", f"{1e3 * found.energy_consumed:.3g} Wh of {phase} ({_describe_method(tracker, found)})")
    return used


def _start(tracking: Tracking) -> "OfflineEmissionsTracker":
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code=tracking.energy_country,
        tracking_mode=tracking.energy_mode,
        output_methods=[],
        log_level="warning",
        allow_multiple_runs=True,
    )
    try:
        tracker.start()
    except BaseException:  # also an interruption, when one of its threads may already run
        _stop(tracker)
        raise
    return tracker


def _stop(tracker: Any) -> None:
    """Stop the tracker and wait for its threads."""
    schedulers = [getattr(tracker, name, None) for name in ("_scheduler", "_scheduler_monitor_power")]
    running = [(each, each._timer) for each in schedulers if each is not None and each._timer is not None]
    tracker.stop()
    for scheduler, timer in running:
        timer.join(_TIMEOUT)
        scheduler.stop()  # a running measurement has set the timer again
        scheduler._timer.join(_TIMEOUT)


def _describe_method(tracker: Any, found: Any) -> str:
    """Describe how the energy was measured: by a counter of the processor, or estimated from its load."""
    modes = [getattr(each, "_mode", None) for each in getattr(tracker, "_hardware", ())]
    watts = next((each._tdp for each in getattr(tracker, "_hardware", ()) if getattr(each, "_tdp", None)), None)
    if "intel_rapl" in modes:
        return f"{found.tracking_mode}, processor measured by RAPL"
    return f"{found.tracking_mode}, processor estimated from its load and {watts:g} W" if watts else found.tracking_mode
