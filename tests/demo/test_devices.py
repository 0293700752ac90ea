"""The simulated devices: their effect on known sounds."""

import numpy as np
import pytest

from dcase_sweep.demo.devices import DEVICES, impulse_response, record_with

RATE = 44_100


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def test_the_nine_devices_are_those_of_tau() -> None:
    assert sorted(DEVICES) == ["a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6"]


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_impulse_response_has_the_stated_gains(name: str) -> None:
    response = impulse_response(name, RATE)
    for hertz, gain in DEVICES[name].response:
        if 500 <= hertz <= 10_000:  # below, half a thousand taps are too short to follow every corner
            at = np.exp(-2j * np.pi * hertz / RATE * np.arange(len(response)))
            assert 20 * np.log10(abs(response @ at)) == pytest.approx(gain, abs=1.0)


def test_reference_device_keeps_level_and_dynamics() -> None:
    sound = 0.1 * tone(500) * np.repeat([0.1, 1.0], RATE // 2).astype(np.float32)
    recorded = record_with("a", sound, RATE)

    assert recorded[30_000:44_000].std() == pytest.approx(sound[30_000:44_000].std(), rel=0.1)
    assert recorded[5_000:20_000].std() == pytest.approx(sound[5_000:20_000].std(), rel=0.1)


@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4", "s5", "s6"])
def test_simulated_devices_bring_loud_and_quiet_closer(name: str) -> None:
    sound = 0.1 * tone(500) * np.repeat([0.1, 1.0], RATE // 2).astype(np.float32)
    recorded = record_with(name, sound, RATE)
    difference = 20 * np.log10(recorded[30_000:44_000].std() / recorded[5_000:15_000].std())

    assert 8 < difference < 19.5


def test_a_loud_sound_is_turned_down_and_not_clipped() -> None:
    recorded = record_with("b", 0.99 * tone(3_000), RATE)

    assert np.abs(recorded).max() == pytest.approx(0.98, abs=0.001)


def test_an_unknown_device_is_an_error() -> None:
    with pytest.raises(KeyError):
        record_with("s7", tone(500), RATE)
