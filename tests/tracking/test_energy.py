"""The energy of a run: logged metrics, invalid settings, no remaining processes."""

import importlib.util
import sys
import threading
import time
from pathlib import Path

import pytest

from dcase_sweep.config import Tracking
from dcase_sweep.tracking.energy import check_energy, measured_energy
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import Interrupted

measurable = pytest.mark.skipif(importlib.util.find_spec("codecarbon") is None, reason="CodeCarbon is not installed")
MEASURED = Tracking(energy=True, energy_mode="process")


class FakeRun:
    """Stores logged metrics, starting with those that a run had logged before an interruption."""

    def __init__(self, **before: float) -> None:
        self.metrics = {name.replace("__", "/"): value for name, value in before.items()}

    def logged_metrics(self) -> dict[str, float]:
        return dict(self.metrics)

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.metrics |= metrics


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(10_000))


def test_nothing_is_measured_by_default() -> None:
    run = FakeRun()

    with measured_energy("training", Tracking(), run) as used:
        assert threading.active_count() == len(threading.enumerate())

    assert run.metrics == used == {}


@measurable
def test_energy_grows_with_time_and_no_thread_or_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before, run = set(threading.enumerate()), FakeRun()

    with measured_energy("training", MEASURED, run) as used:
        work(1.5)

    # Two threads at 1 mW at least, all of a server's memory and processors at most.
    assert 1e-3 * 1.5 / 3.6e6 < run.metrics["energy/training_kwh"] < 2000 * 60 / 3.6e6
    assert 0 < run.metrics["energy/training_kg_co2eq"] < run.metrics["energy/training_kwh"]
    assert used == run.metrics
    assert [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()] == []
    assert list(tmp_path.iterdir()) == []
    assert "codecarbon" not in "".join(capfd.readouterr())


@measurable
def test_a_resumed_run_adds_to_the_energy_of_its_first_part() -> None:
    before, run = set(threading.enumerate()), FakeRun(energy__training_kwh=1.0)

    with pytest.raises(Interrupted), measured_energy("training", MEASURED, run):
        raise Interrupted(2)

    assert 1.0 < run.metrics["energy/training_kwh"] < 1.1
    assert [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()] == []


@measurable
def test_an_unknown_country_is_rejected() -> None:
    check_energy(MEASURED)
    with pytest.raises(UserError, match="energy_country=FR: not a country that CodeCarbon knows"):
        check_energy(Tracking(energy=True, energy_country="FR"))


@measurable
def test_the_reason_is_given_if_codecarbon_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(self: object) -> None:
        raise OSError("no counter of the processor can be read")

    monkeypatch.setattr("codecarbon.emissions_tracker.BaseEmissionsTracker._ensure_hardware_ready", fail)
    run = FakeRun()

    with measured_energy("training", MEASURED, run) as used:
        work(0.1)

    assert run.metrics == used == {}
    assert caplog.messages == [
        "energy    CodeCarbon could not measure the training: no counter of the processor can be read"
    ]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_without_codecarbon_one_line_describes_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    monkeypatch.setitem(sys.modules, "codecarbon.input", None)

    check_energy(Tracking())
    with pytest.raises(UserError, match=r"tracking.energy=true: CodeCarbon cannot be imported .*'\.\[energy\]'"):
        check_energy(MEASURED)
