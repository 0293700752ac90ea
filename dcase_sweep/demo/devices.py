"""The nine devices of the demo scenes: frequency responses and, for the simulated devices, compressors.

As in TAU Urban Acoustic Scenes 2020 Mobile, `a` is the reference, `b` and `c` are phones and `s1` to `s6` are simulated
from `a` by a response and dynamic range compression; `s4` to `s6` are not in the training split.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dcase_sweep.demo.rendering import Signal

TAPS = 511
BLOCK_SECONDS = 0.01
HIGHEST_PEAK = 0.98


@dataclass(frozen=True, slots=True)
class Device:
    """`response` contains (Hz, dB) pairs, interpolated linearly over log frequency.

    `ratio` is the ratio of the compressor above `threshold` dB relative to the clip's RMS level, `hold` its release
    time (s). `gain` (dB) is applied last.
    """

    response: tuple[tuple[float, float], ...]
    ratio: float = 1.0
    threshold: float = 0.0
    hold: float = 0.1
    gain: float = 0.0


DEVICES: dict[str, Device] = {
    "a": Device(((20, -9), (45, 0), (1000, 0), (3000, 1.5), (9000, 0), (16000, -2), (20000, -8))),
    "b": Device(((20, -18), (90, -5), (250, 0), (800, 0), (2500, 2), (5000, 3), (9000, 1), (20000, -6)), gain=2),
    "c": Device(((20, -14), (70, -5), (160, 0), (1000, 0), (3500, 2), (7000, -2), (11000, 2), (20000, -7)), gain=-2),
    "s1": Device(((20, -12), (100, -2), (300, 1), (1200, 0), (3000, -2), (6000, 1), (14000, -5)), 2.0, -3, 0.12),
    "s2": Device(((20, -15), (150, -4), (500, 0), (2000, 3), (4500, 0), (8000, -3), (20000, -11)), 3.0, 0, 0.2),
    "s3": Device(((20, -7), (80, 1), (400, 0), (1500, -2), (4000, 1), (10000, 3), (20000, -4)), 2.5, -6, 0.05),
    "s4": Device(((20, -30), (200, -8), (600, 1), (1500, 4), (3500, 1), (6000, -5), (20000, -20)), 3.0, -4, 0.15),
    "s5": Device(((20, -14), (60, 4), (250, 1), (900, -5), (2500, -1), (7000, 5), (20000, -9)), 4.0, -6, 0.3),
    "s6": Device(((20, -26), (120, -3), (350, 3), (1000, -4), (2200, 4), (5000, -6), (9000, 3), (20000, -20)), 5.0, -6),
}


@lru_cache(maxsize=32)
def impulse_response(name: str, sample_rate: int) -> Signal:
    """Compute the device's minimum-phase response, [TAPS], from the real cepstrum of its magnitude."""
    size = 8 * (TAPS + 1)
    frequency = np.maximum(np.arange(size // 2 + 1) * sample_rate / size, 1.0)
    hertz, gain = np.array(DEVICES[name].response).T
    log_magnitude = np.interp(np.log(frequency), np.log(hertz), gain) * np.log(10) / 20
    cepstrum = np.fft.irfft(log_magnitude)
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:TAPS]
    fade = np.ones(TAPS)
    fade[TAPS // 2 :] = np.cos(np.linspace(0, np.pi / 2, TAPS - TAPS // 2)) ** 2
    return (response * fade).astype(np.float32)


def compress(clip: Signal, device: Device, sample_rate: int) -> Signal:
    """Reduce levels above the device's threshold by its ratio, and restore the RMS level of the clip."""
    import scipy.ndimage  # takes half a second, for recordings that are generated once

    block = max(1, int(BLOCK_SECONDS * sample_rate))
    count = max(1, len(clip) // block)
    power = np.square(clip[: count * block].reshape(count, -1)).mean(axis=1) + 1e-12
    level = 10 * np.log10(power / power.mean())
    # Attack within one block, release after the loudest block within the hold time.
    level = scipy.ndimage.maximum_filter1d(level, 2 * int(device.hold / BLOCK_SECONDS / 2) + 1)
    reduction = np.maximum(level - device.threshold, 0) * (1 / device.ratio - 1)
    gain = np.interp(np.arange(len(clip)), (np.arange(count) + 0.5) * block, 10 ** (reduction / 20)).astype(np.float32)
    quieter = clip * gain
    return quieter * np.float32(np.sqrt(np.mean(np.square(clip)) / (np.mean(np.square(quieter)) + 1e-20)))


def record_with(name: str, clip: Signal, sample_rate: int) -> Signal:
    """Simulate a recording of `clip` [sample] with the device, [sample], without clipping.

    Raises KeyError for a name that is not in `DEVICES`.
    """
    import scipy.signal  # takes half a second, for recordings that are generated once

    device = DEVICES[name]
    recorded = scipy.signal.oaconvolve(clip, impulse_response(name, sample_rate))[: len(clip)].astype(np.float32)
    if device.ratio > 1:
        recorded = compress(recorded, device, sample_rate)
    recorded *= np.float32(10 ** (device.gain / 20))
    return recorded * np.float32(min(1.0, HIGHEST_PEAK / max(float(np.abs(recorded).max()), 1e-9)))
