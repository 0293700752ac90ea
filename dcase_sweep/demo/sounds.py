"""The ten DESED classes as procedural sounds: functions `(grid, rng) -> [sample]` that fill the grid with one event.

Every call returns a different cat, alarm or kitchen. Levels are arbitrary and are set when sounds are mixed.
"""

from collections.abc import Callable

import numpy as np

from dcase_sweep.demo import textures
from dcase_sweep.demo.rendering import Grid, Signal, harmonic_tone, shape, white_noise
from dcase_sweep.demo.textures import Generator, band_curve, decibels, hits, over, peak, random_times, wander


def _noise(grid: Grid, rng: Generator, power: Signal) -> Signal:
    return shape(grid, [(white_noise(grid, rng), power)])


def _voice(grid: Grid, pitch: Signal, power: Signal) -> Signal:
    """Glottal pulses of `pitch` (Hz, [frame]) filtered by a power map [frame, band]."""
    count = max(1, int(6000 / pitch.mean()))
    pulses = harmonic_tone(grid.sample_rate, grid.sample_curve(pitch), np.ones(count, np.float32))
    return shape(grid, [(pulses * np.float32(np.sqrt(pitch.mean() / 2)), power)])


def _unit(wave: Signal) -> Signal:
    """Scale a sound to an RMS level of 1, so that parts of a sound can be mixed with given weights."""
    return wave / np.float32(np.sqrt(np.mean(np.square(wave)) + 1e-20))


def _harmonics(count: int, slope: float, rng: Generator, spread: float) -> Signal:
    """Amplitudes that fall by `slope` dB per octave, with random deviations of `spread` dB."""
    level = -slope * np.log2(np.arange(1, count + 1)) + spread * rng.standard_normal(count)
    return (10 ** (level / 20)).astype(np.float32)


def _motor_pitch(grid: Grid, rng: Generator, pitch: float, start: float, drift: float) -> Signal:
    """Pitch of a motor that runs up to speed in `start` seconds and then drifts by a fraction `drift`, [frame]."""
    rise = 1 - 0.7 * np.exp(-3 * grid.times / start)
    return (pitch * rise * (1 + wander(grid, rng, 1.5, drift))).astype(np.float32)


def _motor(grid: Grid, rng: Generator, pitch: Signal, harmonics: Signal) -> Signal:
    return _unit(harmonic_tone(grid.sample_rate, grid.sample_curve(pitch), harmonics, rng.random()))


def alarm_bell(grid: Grid, rng: Generator) -> Signal:
    """A bell that is struck many times per second, the beeps of a smoke detector, or a siren of two tones."""
    time = np.arange(grid.samples, dtype=np.float32) / grid.sample_rate
    pitch = rng.uniform(600, 1500)
    kind = rng.integers(3)
    if kind == 0:
        since_stroke = np.mod(time * rng.uniform(9, 20), 1).astype(np.float32)
        partials = [
            harmonic_tone(grid.sample_rate, np.full(grid.samples, pitch * ratio, np.float32), np.ones(1), rng.random())
            for ratio in (1.0, 2.4, 3.1, 4.6)
        ]
        return np.sum(partials, axis=0, dtype=np.float32) * (0.3 + 0.7 * np.exp(-3 * since_stroke))
    if kind == 1:
        is_on = np.mod(time * rng.uniform(1.5, 5), 1) < 0.6
        tone = np.full(grid.samples, rng.uniform(1800, 3300), np.float32)
        return harmonic_tone(grid.sample_rate, tone, _harmonics(2, 12, rng, 0)) * is_on.astype(np.float32)
    upper = np.mod(time * rng.uniform(0.8, 3), 1) < 0.5
    tones = np.where(upper, pitch * rng.uniform(1.2, 1.5), pitch).astype(np.float32)
    return harmonic_tone(grid.sample_rate, tones, _harmonics(6, 8, rng, 2))


def blender(grid: Grid, rng: Generator) -> Signal:
    """A motor that runs up to speed, with the noise of the food."""
    pitch = _motor_pitch(grid, rng, rng.uniform(180, 380), rng.uniform(0.3, 0.8), 0.03)
    motor = _motor(grid, rng, pitch, _harmonics(20, rng.uniform(2, 5), rng, 4))
    roar = over(decibels(wander(grid, rng, 0.15, 3)), peak(grid, rng.uniform(1500, 3500), 1.0))
    return motor + rng.uniform(0.7, 1.3) * _unit(_noise(grid, rng, roar))


def cat(grid: Grid, rng: Generator) -> Signal:
    """A meow with a changing pitch and mouth opening."""
    position = grid.times / grid.seconds
    arch = np.sin(np.pi * np.clip(position, 0, 1) ** rng.uniform(0.6, 1.2))
    pitch = (rng.uniform(380, 650) * (1 + rng.uniform(0.3, 0.7) * arch)).astype(np.float32)
    formant = rng.uniform(900, 1300) * (1 + rng.uniform(0.6, 1.2) * arch)
    mouth = np.exp(-0.5 * (np.log2(grid.bands[None, :] / formant[:, None]) / 0.45) ** 2)
    mouth += 0.2 * peak(grid, rng.uniform(3000, 4500), 0.3) + 0.05
    return _voice(grid, pitch, (mouth * (0.05 + arch[:, None])).astype(np.float32))


def dishes(grid: Grid, rng: Generator) -> Signal:
    """Plates and cutlery that hit each other. The first hit is the onset."""
    strokes = np.append(0.0, random_times(grid, rng, rng.uniform(3, 7)))
    wave = np.zeros(grid.samples, np.float32)
    for onset in strokes:
        begin = min(int(onset * grid.sample_rate), grid.samples - 1)
        time = np.arange(grid.samples - begin, dtype=np.float32) / grid.sample_rate
        pitch, decay = rng.uniform(1200, 3000), rng.uniform(0.1, 0.4)
        for ratio in (1.0, 1.6, 2.3):
            ring = np.exp(-6.9 * ratio * time / decay) * np.sin(2 * np.pi * pitch * ratio * time)
            wave[begin:] += rng.uniform(0.3, 1.0) * ring.astype(np.float32)
    clatter = over(hits(grid, strokes, rng.uniform(0.3, 1, len(strokes)), 0.08), peak(grid, 4000, 1.0))
    return _unit(wave) + 0.5 * _unit(_noise(grid, rng, clatter))


def dog(grid: Grid, rng: Generator) -> Signal:
    """Hoarse barks that fall in pitch, until the end of the event."""
    period, bark = rng.uniform(0.3, 0.6), rng.uniform(0.12, 0.22)
    since = np.mod(grid.times, period)
    envelope = np.maximum(np.sin(np.pi * np.minimum(since / bark, 1)), 0) ** 0.7
    pitch = (rng.uniform(250, 550) * (1.3 - 0.5 * np.minimum(since / bark, 1))).astype(np.float32)
    throat = peak(grid, rng.uniform(500, 900), 0.6) + 0.4 * peak(grid, rng.uniform(1300, 2200), 0.4)
    power = over(envelope, throat)
    return _unit(_voice(grid, pitch, power)) + 0.5 * _unit(_noise(grid, rng, power))


def electric_shaver(grid: Grid, rng: Generator) -> Signal:
    """A buzz at one pitch with strong upper harmonics, whose level varies as the shaver moves."""
    pitch = _motor_pitch(grid, rng, rng.uniform(90, 160), 0.05, 0.004)
    buzz = _motor(grid, rng, pitch, _harmonics(45, rng.uniform(-1, 1), rng, 5))
    hiss = over(np.ones(grid.frames), peak(grid, rng.uniform(4000, 6500), 0.4))
    moved = 10 ** (wander(grid, rng, 0.7, 2.5) / 20)
    return (buzz + 0.3 * _unit(_noise(grid, rng, hiss))) * grid.sample_curve(moved)


def frying(grid: Grid, rng: Generator) -> Signal:
    """The hiss and crackle of hot fat."""
    hiss = over(decibels(wander(grid, rng, 1.0, 1)), band_curve(grid, rng.uniform(1800, 3000), 8000, -1, roll_off=9))
    onsets = random_times(grid, rng, rng.uniform(40, 120))
    crackle = over(hits(grid, onsets, rng.exponential(1, len(onsets)), 0.015), peak(grid, rng.uniform(3000, 6000), 0.8))
    return _unit(_noise(grid, rng, hiss)) + rng.uniform(0.5, 1.0) * _unit(_noise(grid, rng, crackle))


def running_water(grid: Grid, rng: Generator) -> Signal:
    """Water from a tap in a sink: broadband noise with bubbles at lower frequencies."""
    rush = over(decibels(rng.standard_normal(grid.frames)), peak(grid, rng.uniform(1200, 2500), 1.3))
    gurgle = [
        over(decibels(wander(grid, rng, 0.08, 5)), peak(grid, centre, 0.15)) for centre in rng.uniform(300, 900, 3)
    ]
    return _unit(_noise(grid, rng, rush)) + 0.6 * _unit(_noise(grid, rng, np.sum(gurgle, axis=0, dtype=np.float32)))


def speech(grid: Grid, rng: Generator) -> Signal:
    """One talker near the microphone, starting with a syllable."""
    longer = Grid(grid.samples + 2 * grid.sample_rate, grid.sample_rate)
    sound = textures.near_talker(longer, rng, rng)
    assert sound.voiced is not None
    assert sound.noise is not None
    pitch = rng.uniform(95, 230) * 2 ** (wander(longer, rng, 0.5, 0.15) + wander(longer, rng, 2.0, 0.1))
    wave = _voice(longer, pitch.astype(np.float32), sound.voiced) + _noise(longer, rng, sound.noise)
    level = sound.voiced @ longer.bandwidths
    first = int(np.argmax(level > 0.05 * level.max())) * longer.hop
    begin = min(first, len(wave) - grid.samples)
    return wave[begin : begin + grid.samples]


def vacuum_cleaner(grid: Grid, rng: Generator) -> Signal:
    """The broadband noise of air and the whine of the turbine."""
    pitch = _motor_pitch(grid, rng, rng.uniform(450, 900), rng.uniform(0.3, 1.0), 0.01)
    whine = _motor(grid, rng, pitch, _harmonics(6, rng.uniform(4, 9), rng, 3))
    air = band_curve(grid, rng.uniform(150, 400), rng.uniform(4000, 7000), rng.uniform(1, 3), roll_off=9)
    roar = over(decibels(wander(grid, rng, 1.5, 1.0)), air)
    return _unit(_noise(grid, rng, roar)) + rng.uniform(0.15, 0.4) * whine


SOUNDS: dict[str, Callable[[Grid, Generator], Signal]] = {
    "Alarm_bell_ringing": alarm_bell,
    "Blender": blender,
    "Cat": cat,
    "Dishes": dishes,
    "Dog": dog,
    "Electric_shaver_toothbrush": electric_shaver,
    "Frying": frying,
    "Running_water": running_water,
    "Speech": speech,
    "Vacuum_cleaner": vacuum_cleaner,
}
#: Shortest and longest event of each class, s. Barks are short; vacuum cleaners run for long.
EVENT_SECONDS: dict[str, tuple[float, float]] = {
    "Alarm_bell_ringing": (0.8, 6.0),
    "Blender": (2.0, 8.0),
    "Cat": (0.5, 1.5),
    "Dishes": (0.3, 1.2),
    "Dog": (0.3, 1.8),
    "Electric_shaver_toothbrush": (3.0, 10.0),
    "Frying": (4.0, 10.0),
    "Running_water": (2.0, 9.0),
    "Speech": (0.7, 3.5),
    "Vacuum_cleaner": (4.0, 10.0),
}
