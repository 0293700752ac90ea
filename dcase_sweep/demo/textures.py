"""Noise-like and speech-like sounds of the demo scenes, defined as power over time and frequency.

Every texture is a function `(grid, place, rng) -> Sound`. Random values from `place` are the same for all clips of a
location (the reverberation of the hall, the engine of the bus); those from `rng` differ for each clip.
"""

from dataclasses import dataclass

import numpy as np

from dcase_sweep.demo.rendering import Grid, Signal

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Sound:
    """One layer of a scene: any of noise power, voiced power (both [frame, band]) and a waveform ([sample])."""

    noise: Signal | None = None
    voiced: Signal | None = None
    tone: Signal | None = None


# --- tools ------------------------------------------------------------------------------------------------------


def band_curve(
    grid: Grid, low: float, high: float, slope: float, roll_off: float = 18.0, reference: float = 500.0
) -> Signal:
    """Power per Hz that falls by `slope` dB per octave and by `roll_off` more outside `low` to `high` Hz, [band]."""
    octaves = np.log2(grid.bands / reference)
    outside = np.maximum(np.log2(low / grid.bands), 0) + np.maximum(np.log2(grid.bands / high), 0)
    return (10 ** ((-slope * octaves - roll_off * outside) / 10)).astype(np.float32)


def peak(grid: Grid, centre: float, octaves: float) -> Signal:
    """A Gaussian-shaped peak at `centre` Hz with a standard deviation of `octaves`, [band]."""
    return np.exp(-0.5 * (np.log2(grid.bands / centre) / octaves) ** 2).astype(np.float32)


def wander(grid: Grid, rng: Generator, every: float, spread: float = 1.0) -> Signal:
    """A smooth random curve over frames with a new independent value every `every` seconds, [frame]."""
    knots = int(grid.seconds / every) + 4
    values = rng.standard_normal(knots) * spread
    position = grid.times / every + rng.random()
    index = position.astype(int)
    fraction = (1 - np.cos(np.pi * (position - index))) / 2
    return (values[index] * (1 - fraction) + values[index + 1] * fraction).astype(np.float32)


def decibels(curve: Signal) -> Signal:
    """Convert a curve in dB to power factors."""
    return (10 ** (curve / 10)).astype(np.float32)


def random_times(grid: Grid, rng: Generator, per_second: float) -> Signal:
    """Draw the onsets of a Poisson process, in seconds."""
    return rng.random(rng.poisson(per_second * grid.seconds)).astype(np.float32) * grid.seconds


def regular_times(grid: Grid, rng: Generator, period: float, jitter: float) -> Signal:
    """Return onsets about every `period` seconds, each shifted randomly by a fraction `jitter` of it."""
    onsets = np.arange(rng.random() * period, grid.seconds, period)
    return (onsets + jitter * period * rng.standard_normal(len(onsets))).astype(np.float32)


def hits(grid: Grid, onsets: Signal, strengths: Signal, decay: float) -> Signal:
    """Power that jumps up at each onset and falls by 60 dB in `decay` seconds, [frame]."""
    frames = np.round(onsets * grid.frame_rate).astype(int)
    inside = (frames >= 0) & (frames < grid.frames)
    impulses = np.bincount(frames[inside], strengths[inside], minlength=grid.frames).astype(np.float32)
    return _ring(grid, impulses, decay)


def _ring(grid: Grid, power: Signal, decay: float) -> Signal:
    import scipy.signal  # takes half a second, for recordings that are generated once

    keep = 10 ** (-6 / max(decay * grid.frame_rate, 1.0))
    return scipy.signal.lfilter([1.0], [1.0, -keep], power, axis=0).astype(np.float32)


def reverberate(grid: Grid, power: Signal, decay: float, wet: float = 0.8) -> Signal:
    """Add reverberation to a power map: it falls by 60 dB in `decay` seconds (faster above 2 kHz), [frame, band]."""
    keep = 1 - 10 ** (-6 / max(decay * grid.frame_rate, 1.0))
    damping = 1 / (1 + (grid.bands / 4000) ** 2)
    return ((1 - wet) * power + wet * damping * keep * _ring(grid, power, decay)).astype(np.float32)


def over(envelope: Signal, curve: Signal) -> Signal:
    """Combine one spectrum and one envelope into a power map."""
    return np.outer(envelope, curve).astype(np.float32)


# --- backgrounds ------------------------------------------------------------------------------------------------


def ventilation(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Steady air conditioning, filtered by its ducts."""
    curve = band_curve(grid, place.uniform(60, 200), place.uniform(1500, 6000), place.uniform(2.5, 6))
    ducts = 1 + place.uniform(0, 4) * peak(grid, place.uniform(150, 900), 0.25)
    return Sound(noise=over(decibels(wander(grid, rng, 3.0, 0.4)), curve * ducts))


def escalator(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """An escalator: a clank a few times per second over a metallic drone."""
    drone = band_curve(grid, 60, place.uniform(300, 600), 2, roll_off=9) + peak(grid, place.uniform(900, 1500), 0.3)
    onsets = regular_times(grid, rng, place.uniform(0.35, 0.6), 0.02)
    clank = hits(grid, onsets, np.ones(len(onsets)), 0.25)
    return Sound(noise=over(0.3 + clank, drone))


def wind(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Low-frequency gusts at the microphone."""
    curve = band_curve(grid, 30, place.uniform(200, 500), place.uniform(4, 8), roll_off=9)
    return Sound(noise=over(decibels(wander(grid, rng, rng.uniform(0.6, 1.5), 3.0)), curve))


def leaves(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Rustling leaves between 2 and 8 kHz, modulated by the wind."""
    curve = peak(grid, place.uniform(2500, 6000), place.uniform(0.6, 1.0))
    return Sound(noise=over(decibels(wander(grid, rng, 0.8, 3.0)), curve))


def fountain(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Falling water: bright and dense noise."""
    curve = peak(grid, place.uniform(1500, 4500), place.uniform(0.9, 1.4))
    return Sound(noise=over(decibels(rng.standard_normal(grid.frames) * 0.7), curve))


def distant_traffic(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Distant city traffic: many engines and tyres."""
    curve = band_curve(grid, 50, place.uniform(500, 1400), place.uniform(3, 6), roll_off=9)
    return Sound(noise=over(decibels(wander(grid, rng, 2.5, 1.8)), curve))


def rumble(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """The rumble of a vehicle: low-frequency noise that increases with speed, and road or rail noise around 1 kHz."""
    curve = band_curve(grid, place.uniform(35, 60), place.uniform(120, 320), place.uniform(2, 5), roll_off=7)
    curve += place.uniform(0.002, 0.02) * peak(grid, place.uniform(500, 1300), 0.6)
    return Sound(noise=over(decibels(wander(grid, rng, rng.uniform(2, 5), 2.5)), curve))


def wheel_roar(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Wheels in a tunnel or on a road: a broad band whose centre follows the speed."""
    centre = place.uniform(700, 1600) * 2 ** wander(grid, rng, rng.uniform(2, 5), 0.3)
    octaves = np.log2(grid.bands[None, :] / centre[:, None]) / place.uniform(0.6, 1.1)
    return Sound(noise=np.exp(-0.5 * octaves**2) * (centre / 600)[:, None] ** 2)


# --- events -----------------------------------------------------------------------------------------------------


def passing_cars(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Passing cars, each with its own tyres, speed and distance."""
    rate = place.uniform(0.12, 0.4)
    moments = np.append(random_times(grid, rng, rate), rng.random() * grid.seconds)
    road = band_curve(grid, 60, 1200, place.uniform(0, 3), roll_off=6)
    power = np.zeros((grid.frames, len(grid.bands)), np.float32)
    for moment in moments:
        nearness = 1 / (1 + ((grid.times - moment) / rng.uniform(0.4, 1.6)) ** 2)
        tyres = peak(grid, place.uniform(600, 1100) * rng.uniform(0.8, 1.25), 0.7)
        engine = rng.uniform(0.5, 4) * peak(grid, rng.uniform(60, 130), 0.4)
        power += rng.uniform(0.3, 1.5) * (over(nearness**1.5, tyres + engine) + 0.2 * over(nearness, road))
    return Sound(noise=power)


def footsteps(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Several walkers on one floor, each with their own pace and shoes."""
    floor = place.uniform(300, 1800)
    power = np.zeros((grid.frames, len(grid.bands)), np.float32)
    for _ in range(1 + rng.poisson(place.uniform(1, 4))):
        onsets = regular_times(grid, rng, rng.uniform(0.45, 0.65), 0.04)
        nearness = decibels(wander(grid, rng, 3.0, 5.0) + 5 * rng.standard_normal())
        sole = peak(grid, floor * rng.uniform(0.6, 1.7), 0.8) + 0.1 * peak(grid, rng.uniform(2500, 6000), 0.8)
        steps = hits(grid, onsets, rng.uniform(0.4, 1.0, len(onsets)), rng.uniform(0.08, 0.18))
        power += over(nearness * steps, sole)
    return Sound(noise=reverberate(grid, power, place.uniform(0.2, 1.2), 0.5))


def gravel_steps(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """One walker or jogger on gravel: soft, long, bright steps."""
    onsets = regular_times(grid, rng, rng.uniform(0.35, 0.6), 0.05)
    steps = hits(grid, onsets, rng.uniform(0.4, 1.0, len(onsets)), rng.uniform(0.15, 0.35))
    nearness = decibels(wander(grid, rng, 4.0, 6.0))
    return Sound(noise=over(nearness * steps, peak(grid, place.uniform(1800, 4000), 1.0)))


def rail_joints(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """The double clatter of two axles on rail joints."""
    period, gap = place.uniform(0.7, 1.6) * rng.uniform(0.8, 1.25), place.uniform(0.09, 0.2)
    first = regular_times(grid, rng, period, 0.02)
    onsets = np.concatenate([first, first + gap])
    strengths = rng.uniform(0.4, 1.0, len(onsets))
    thud = over(hits(grid, onsets, strengths, 0.25), peak(grid, place.uniform(90, 240), 0.5))
    click = over(hits(grid, onsets, strengths, 0.1), peak(grid, place.uniform(900, 2600), 0.7))
    return Sound(noise=thud + place.uniform(0.03, 0.3) * click)


def rattle(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Loose panels and windows that rattle occasionally."""
    onsets = random_times(grid, rng, place.uniform(4, 14))
    shaking = decibels(wander(grid, rng, 1.2, 5.0))
    clicks = hits(grid, onsets, rng.exponential(1.0, len(onsets)), 0.06)
    return Sound(noise=over(shaking * clicks, peak(grid, place.uniform(1200, 4500), 0.7)))


def trolley(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Suitcase wheels that pass by on floor tiles."""
    onsets = regular_times(grid, rng, rng.uniform(0.06, 0.14), 0.1)
    nearness = 1 / (1 + ((grid.times - rng.random() * grid.seconds) / rng.uniform(1.0, 3.0)) ** 2)
    wheels = hits(grid, onsets, rng.uniform(0.5, 1.0, len(onsets)), 0.08)
    curve = peak(grid, place.uniform(700, 1800), 0.8)
    return Sound(noise=reverberate(grid, over(nearness * wheels, curve), place.uniform(0.5, 1.5), 0.4))


def dishes(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Cups and cutlery in a café."""
    onsets = random_times(grid, rng, place.uniform(0.5, 2.0))
    power = np.zeros((grid.frames, len(grid.bands)), np.float32)
    for onset in onsets:
        clink = peak(grid, rng.uniform(2500, 7000), 0.12)
        power += over(hits(grid, np.array([onset]), rng.exponential(1.0, 1), rng.uniform(0.1, 0.4)), clink)
    return Sound(noise=reverberate(grid, power, place.uniform(0.4, 1.2), 0.4))


def door_hiss(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """One or two bursts of compressed air."""
    onsets = rng.random(rng.integers(1, 3)) * grid.seconds
    hiss = hits(grid, onsets, np.ones(len(onsets)), rng.uniform(0.6, 1.6))
    return Sound(noise=over(hiss, peak(grid, place.uniform(3000, 7000), 0.8)))


def train_passing(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """A train that arrives or departs: first a rumble, then a roar."""
    moment, length = rng.uniform(-0.2, 1.2) * grid.seconds, rng.uniform(2.0, 5.0)
    nearness = np.exp(-0.5 * ((grid.times - moment) / length) ** 2)
    low = band_curve(grid, 40, place.uniform(150, 350), 3, roll_off=7)
    roar = place.uniform(0.02, 0.1) * peak(grid, place.uniform(500, 1200), 0.8)
    return Sound(noise=reverberate(grid, over(nearness, low) + over(nearness**2, roar), place.uniform(1.0, 2.5)))


# --- speech -----------------------------------------------------------------------------------------------------


def _speech(grid: Grid, rng: Generator, syllables_per_second: float, pauses: float) -> Signal:
    """Power of one talker: vowels with three formants and occasional fricatives, [frame, band]."""
    syllable = np.cumsum(rng.gamma(4.0, 1 / (4 * syllables_per_second), int(grid.seconds * 12) + 8))
    number = np.minimum(np.searchsorted(syllable, grid.times), len(syllable) - 1)
    begin = np.concatenate([[0.0], syllable])[number]
    within = (grid.times - begin) / np.maximum(syllable[number] - begin, 0.02)
    size = rng.uniform(0.85, 1.2)
    vowels = [
        peak(grid, size * rng.uniform(280, 850), 0.25)
        + 0.25 * peak(grid, size * rng.uniform(900, 2300), 0.2)
        + 0.06 * peak(grid, size * rng.uniform(2400, 3100), 0.2)
        for _ in range(8)
    ]
    vowels += [0.03 * peak(grid, rng.uniform(3500, 7500), 0.5) for _ in range(2)]
    strength = rng.exponential(1.0, len(syllable)) * (rng.random(len(syllable)) > pauses)
    chosen = rng.integers(len(vowels), size=len(syllable))
    envelope = strength[number] * np.sin(np.pi * np.clip(within, 0, 1)) ** 2
    return (np.array(vowels)[chosen[number]] * envelope[:, None]).astype(np.float32)


def _crowd(grid: Grid, rng: Generator, talkers: int) -> Signal:
    voices = [
        decibels(wander(grid, rng, 3.0, 3.0) + 4 * rng.standard_normal())[:, None] * _speech(grid, rng, 4.5, 0.3)
        for _ in range(talkers)
    ]
    return np.sum(voices, axis=0, dtype=np.float32)


def hall_babble(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """Many talkers in a hall; the reverberation blurs their words."""
    crowd = _crowd(grid, rng, int(place.integers(4, 9)))
    return Sound(noise=reverberate(grid, crowd, place.uniform(0.8, 2.6), place.uniform(0.7, 0.95)))


def street_babble(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """A few groups of talkers in the open air or in a carriage, with distinct words."""
    crowd = _crowd(grid, rng, int(place.integers(2, 6)))
    return Sound(noise=reverberate(grid, crowd, place.uniform(0.15, 0.5), 0.3))


def near_talker(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """A talker close to the microphone."""
    speech = _speech(grid, rng, rng.uniform(3.5, 5.5), 0.35)
    speech *= decibels(wander(grid, rng, 1.5, 4.0))[:, None]
    return Sound(voiced=reverberate(grid, speech, place.uniform(0.15, 0.6), 0.2), noise=0.05 * speech)


def announcement(grid: Grid, place: Generator, rng: Generator) -> Sound:
    """A band-limited loudspeaker voice during a part of the clip."""
    begin = rng.uniform(-0.3, 0.8) * grid.seconds
    speaking = (grid.times > begin) & (grid.times < begin + rng.uniform(3, 7))
    loudspeaker = band_curve(grid, place.uniform(250, 500), place.uniform(2500, 5000), 0)
    speech = _speech(grid, rng, 4.5, 0.15) * speaking[:, None] * loudspeaker
    return Sound(voiced=reverberate(grid, speech, place.uniform(0.5, 2.5), place.uniform(0.3, 0.8)))
