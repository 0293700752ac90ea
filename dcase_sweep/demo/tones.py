"""Pitched sounds of the demo scenes, defined as waveforms: functions `(grid, place, rng) -> Sound` as in `textures`."""

import numpy as np

from dcase_sweep.demo.rendering import Grid, Signal, harmonic_tone
from dcase_sweep.demo.textures import Generator, Sound, wander


def _harmonics(count: int, slope: float, rng: Generator | None = None, spread: float = 0.0) -> Signal:
    """Amplitudes that fall by `slope` dB per octave, with random deviations of `spread` dB."""
    level = -slope * np.log2(np.arange(1, count + 1))
    if rng is not None:
        level += spread * rng.standard_normal(count)
    return (10 ** (level / 20)).astype(np.float32)


def _note(sample_rate: int, pitch: float, seconds: float, amplitudes: Signal, decay: float) -> Signal:
    """A struck tone that falls by 60 dB in `decay` seconds."""
    time = np.arange(int(seconds * sample_rate), dtype=np.float32) / sample_rate
    envelope = np.minimum(time / 0.005, 1) * np.exp(-6.9 * time / decay)
    return envelope * harmonic_tone(sample_rate, np.full(len(time), pitch, np.float32), amplitudes)


def _add(grid: Grid, wave: Signal, onset: float, event: Signal) -> None:
    """Add the part of an event that is within the clip."""
    begin = int(onset * grid.sample_rate)
    event = event[max(0, -begin) : max(0, grid.samples - begin)]
    begin = max(0, begin)
    wave[begin : begin + len(event)] += event


def engine(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """A combustion engine: the firing rate and its harmonics, drifting with the throttle."""
    firing = place.uniform(28, 75) * rng.uniform(0.8, 1.3) * 2 ** wander(grid, rng, rng.uniform(1.5, 4), 0.12)
    amplitudes = _harmonics(24, place.uniform(3, 7), place, 5.0)
    loudness = 10 ** (wander(grid, rng, 2.0, 2.0) / 20)
    tone = harmonic_tone(grid.sample_rate, grid.sample_curve(firing), amplitudes, rng.random())
    return Sound(tone=tone * grid.sample_curve(loudness))


def motor_whine(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """An electric drive whose pitch follows the speed of the vehicle."""
    pitch = place.uniform(180, 700) * 2 ** np.clip(wander(grid, rng, rng.uniform(2, 5), 0.6), -1.5, 1.5)
    amplitudes = _harmonics(6, place.uniform(2, 8), place, 4.0)
    tone = harmonic_tone(grid.sample_rate, grid.sample_curve(pitch), amplitudes, rng.random())
    return Sound(tone=tone * grid.sample_curve(10 ** (wander(grid, rng, 1.5, 4.0) / 20)))


def rail_squeal(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Squealing flanges or brakes: a shrill, unsteady tone of a few seconds."""
    pitch = place.uniform(1800, 5500) * 2 ** wander(grid, rng, 0.4, 0.03)
    moment, length = rng.random() * grid.seconds, rng.uniform(0.4, 1.6)
    swell = np.exp(-0.5 * ((grid.times - moment) / length) ** 2) * 10 ** (wander(grid, rng, 0.15, 4.0) / 20)
    tone = harmonic_tone(grid.sample_rate, grid.sample_curve(pitch), _harmonics(3, 9), rng.random())
    return Sound(tone=tone * grid.sample_curve(swell))


def birds(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Phrases of chirps by a few birds, each with its own pitch, glide and distance."""
    wave = np.zeros(grid.samples, np.float32)
    for _ in range(1 + rng.poisson(place.uniform(1, 3))):
        pitch, glide = rng.uniform(2200, 6500), rng.uniform(-0.4, 0.4)
        length, gap = rng.uniform(0.04, 0.2), rng.uniform(0.08, 0.3)
        loudness = rng.uniform(0.15, 1.0)
        position: Signal = np.linspace(0, 1, int(length * grid.sample_rate), dtype=np.float32)
        frequency = np.minimum(pitch * 2 ** (glide * position), 0.45 * grid.sample_rate)
        chirp: Signal = (
            loudness * harmonic_tone(grid.sample_rate, frequency, _harmonics(2, 14)) * np.sin(np.pi * position) ** 2
        )
        for phrase in rng.random(rng.integers(2, 6)) * grid.seconds:
            for number in range(rng.integers(2, 8)):
                _add(grid, wave, float(phrase) + number * (length + gap), chirp)
    return Sound(tone=wave)


def chime(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """The two to four notes that precede an announcement."""
    wave = np.zeros(grid.samples, np.float32)
    root, amplitudes = place.uniform(350, 700), _harmonics(4, place.uniform(6, 14))
    gap, decay = place.uniform(0.3, 0.6), place.uniform(1.0, 3.0)
    steps = place.choice([0, 4, 7, 12], size=place.integers(2, 5), replace=False)
    onset = rng.uniform(-0.5, grid.seconds - 1)
    for number, step in enumerate(steps):
        note = _note(grid.sample_rate, root * 2 ** (step / 12), decay * 0.7, amplitudes, decay)
        _add(grid, wave, onset + number * gap, note)
    return Sound(tone=wave)


def door_beeps(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """The warning before doors close."""
    wave = np.zeros(grid.samples, np.float32)
    pitch, period = place.uniform(900, 2400), place.uniform(0.15, 0.5)
    beep = _note(grid.sample_rate, pitch, 0.6 * period, _harmonics(5, place.uniform(3, 12)), 20.0)
    onset = rng.uniform(-1, grid.seconds - 1)
    for number in range(int(place.integers(4, 12))):
        _add(grid, wave, onset + number * period, beep)
    return Sound(tone=wave)


def bell(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """The bell of a tram or a church: inharmonic partials."""
    wave = np.zeros(grid.samples, np.float32)
    pitch, decay = place.uniform(500, 1600), place.uniform(0.8, 2.5)
    partials = [1.0, 2.0, 2.4, 3.0, 4.5]
    notes = [_note(grid.sample_rate, pitch * ratio, decay * 0.6, _harmonics(1, 0), decay / ratio) for ratio in partials]
    stroke: Signal = np.sum(notes, axis=0, dtype=np.float32)
    onset, period = rng.uniform(-0.5, grid.seconds - 0.5), place.uniform(0.25, 1.2)
    for number in range(rng.integers(1, 5)):
        _add(grid, wave, onset + number * period, stroke)
    return Sound(tone=wave)


def horn(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """A car horn: two tones a third apart."""
    wave = np.zeros(grid.samples, np.float32)
    pitch, length = rng.uniform(330, 480), rng.uniform(0.2, 1.0)
    reeds = [_note(grid.sample_rate, pitch * ratio, length, _harmonics(10, 3), 30.0) for ratio in (1.0, 1.25)]
    _add(grid, wave, rng.random() * grid.seconds, reeds[0] + reeds[1])
    return Sound(tone=wave)


def music(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Background music: plucked chords from one scale with a steady beat."""
    wave = np.zeros(grid.samples, np.float32)
    root, beat = place.uniform(130, 260), place.uniform(0.3, 0.7)
    amplitudes, decay = _harmonics(8, place.uniform(4, 9)), place.uniform(0.6, 2.0)
    scale = np.array([0, 2, 4, 7, 9, 12, 14, 16, 19])
    notes = [_note(grid.sample_rate, root * 2 ** (step / 12), min(decay, 1.0), amplitudes, decay) for step in scale]
    for onset in np.arange(-rng.random() * beat, grid.seconds, beat):
        for choice in rng.integers(len(notes), size=rng.integers(1, 3)):
            _add(grid, wave, float(onset), notes[choice])
    return Sound(tone=wave)
