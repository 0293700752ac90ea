"""The layers of the ten demo scenes, and the mixing of one recording."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcase_sweep.demo import textures, tones
from dcase_sweep.demo.rendering import Grid, Signal, harmonic_tone, shape, white_noise
from dcase_sweep.demo.textures import Generator, Sound

Texture = Callable[[Grid, Generator, Generator], Sound]

#: Standard deviations of a layer's level between locations and between clips of one location, dB.
PLACE_SPREAD, CLIP_SPREAD = 1.7, 1.5
#: The same for the level of the whole recording.
PLACE_LEVEL_SPREAD, CLIP_LEVEL_SPREAD = 2.0, 1.0
#: Standard deviation of the spectral colour that a location adds to all its sounds, dB.
COLOUR = 1.5
#: Probability that a location has a layer of another scene, and the level of that layer, dB.
STRAY, STRAY_LEVEL = 0.25, -6.0
HIGHEST_PEAK = 0.7
#: White noise of the reference microphone, dB below full scale.
MICROPHONE_NOISE = -80.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A texture in a scene: mean level (dB), and the fractions of locations and of their clips that contain it."""

    texture: Texture
    level: float
    places: float = 1.0
    clips: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """`level` is the mean RMS of the scene's recordings in dB below full scale."""

    level: float
    layers: tuple[Layer, ...]


RECIPES: dict[str, Recipe] = {
    "airport": Recipe(
        -31,
        (
            Layer(textures.ventilation, -3),
            Layer(textures.footsteps, -10, places=0.8, clips=0.9),
            Layer(textures.hall_babble, -3),
            Layer(textures.trolley, 1, clips=0.9),
            Layer(tones.chime, -5, places=0.8, clips=0.4),
            Layer(textures.announcement, -2, places=0.8, clips=0.5),
            Layer(textures.near_talker, -8, places=0.5, clips=0.4),
        ),
    ),
    "shopping_mall": Recipe(
        -29,
        (
            Layer(textures.ventilation, -14),
            Layer(textures.footsteps, -8, places=0.8, clips=0.9),
            Layer(textures.hall_babble, -4),
            Layer(tones.music, 2),
            Layer(textures.dishes, -1, clips=0.9),
            Layer(textures.near_talker, -5, places=0.5, clips=0.4),
            Layer(tones.door_beeps, -12, places=0.3, clips=0.3),
        ),
    ),
    "metro_station": Recipe(
        -28,
        (
            Layer(textures.ventilation, -6),
            Layer(textures.escalator, 1),
            Layer(textures.footsteps, -10, places=0.8, clips=0.9),
            Layer(textures.hall_babble, -7),
            Layer(textures.train_passing, 3, clips=0.85),
            Layer(tones.rail_squeal, -3, places=0.8, clips=0.5),
            Layer(tones.chime, -8, places=0.5, clips=0.3),
            Layer(textures.announcement, -5, places=0.7, clips=0.3),
            Layer(tones.door_beeps, -5, places=0.8, clips=0.4),
        ),
    ),
    "metro": Recipe(
        -25,
        (
            Layer(textures.rumble, 0),
            Layer(textures.wheel_roar, -1),
            Layer(textures.rail_joints, -8, places=0.8, clips=0.8),
            Layer(tones.rail_squeal, -10, places=0.5, clips=0.4),
            Layer(tones.motor_whine, -14, places=0.5),
            Layer(textures.street_babble, -14, places=0.8, clips=0.7),
            Layer(tones.door_beeps, -12, places=0.7, clips=0.3),
            Layer(textures.announcement, -10, places=0.6, clips=0.2),
        ),
    ),
    "tram": Recipe(
        -30,
        (
            Layer(textures.rumble, -8),
            Layer(textures.wheel_roar, -12, places=0.6),
            Layer(textures.rail_joints, -3),
            Layer(tones.motor_whine, -1),
            Layer(tones.rail_squeal, -14, places=0.4, clips=0.3),
            Layer(tones.bell, -6, places=0.8, clips=0.4),
            Layer(textures.street_babble, -10, places=0.9, clips=0.8),
            Layer(textures.near_talker, -10, places=0.5, clips=0.3),
            Layer(textures.door_hiss, -12, places=0.3, clips=0.3),
        ),
    ),
    "bus": Recipe(
        -27,
        (
            Layer(textures.rumble, -5),
            Layer(tones.engine, 2),
            Layer(textures.rattle, -6, places=0.9, clips=0.9),
            Layer(textures.wheel_roar, -14, places=0.6),
            Layer(textures.street_babble, -9, places=0.9, clips=0.8),
            Layer(textures.near_talker, -9, places=0.5, clips=0.3),
            Layer(textures.door_hiss, -5, places=0.9, clips=0.4),
            Layer(tones.door_beeps, -14, places=0.4, clips=0.2),
        ),
    ),
    "park": Recipe(
        -36,
        (
            Layer(textures.distant_traffic, -9),
            Layer(textures.wind, -8, places=0.8, clips=0.8),
            Layer(textures.leaves, -6),
            Layer(tones.birds, -4, clips=0.95),
            Layer(textures.gravel_steps, -8, places=0.7, clips=0.6),
            Layer(textures.street_babble, -14, places=0.5, clips=0.5),
        ),
    ),
    "public_square": Recipe(
        -31,
        (
            Layer(textures.distant_traffic, -3),
            Layer(textures.street_babble, -5),
            Layer(textures.footsteps, -12, places=0.9, clips=0.8),
            Layer(textures.fountain, 0, places=0.9),
            Layer(tones.birds, -10, places=0.6, clips=0.7),
            Layer(tones.bell, -2, places=0.9, clips=0.6),
            Layer(tones.music, -12, places=0.3, clips=0.5),
            Layer(textures.passing_cars, -12, places=0.3, clips=0.5),
        ),
    ),
    "street_pedestrian": Recipe(
        -31,
        (
            Layer(textures.distant_traffic, -6),
            Layer(textures.footsteps, 0),
            Layer(textures.street_babble, -2),
            Layer(textures.near_talker, -3, places=0.8, clips=0.5),
            Layer(textures.dishes, -14, places=0.4, clips=0.5),
            Layer(tones.music, -12, places=0.4, clips=0.5),
            Layer(textures.passing_cars, -8, places=0.3, clips=0.4),
        ),
    ),
    "street_traffic": Recipe(
        -28,
        (
            Layer(textures.distant_traffic, -2),
            Layer(textures.passing_cars, 2),
            Layer(tones.engine, -10, places=0.5, clips=0.5),
            Layer(tones.horn, -8, places=0.6, clips=0.2),
            Layer(textures.footsteps, -14, places=0.6, clips=0.6),
            Layer(textures.street_babble, -14, places=0.5, clips=0.5),
            Layer(textures.wind, -8, places=0.4, clips=0.6),
        ),
    ),
}

_STRAYS: tuple[Texture, ...] = (
    textures.ventilation,
    textures.distant_traffic,
    textures.wind,
    textures.footsteps,
    textures.street_babble,
    textures.rumble,
    textures.passing_cars,
    tones.music,
    tones.birds,
    tones.engine,
)


def _loudness(power: Signal) -> float:
    """Compute the mean power weighted by itself: the level while the sound is present, even if it is short."""
    return float(np.sum(power**2) / max(float(np.sum(power)), 1e-20))


@dataclass(slots=True)
class _Mix:
    """Sum of layers: power maps [frame, band] and a waveform [sample]."""

    grid: Grid
    noise: Signal
    voiced: Signal
    tone: Signal

    @classmethod
    def silence(cls, grid: Grid) -> "_Mix":
        shape_of_maps = (grid.frames, len(grid.bands))
        return cls(grid, *(np.zeros(shape, np.float32) for shape in (shape_of_maps, shape_of_maps, grid.samples)))

    @property
    def power(self) -> float:
        """Mean power of all layers."""
        of_maps = np.mean((self.noise + self.voiced) @ self.grid.bandwidths)
        return float(of_maps + np.mean(np.square(self.tone)))

    def add(self, sound: Sound, level: float) -> None:
        bandwidths = self.grid.bandwidths
        gain = 10 ** (level / 10)
        maps = [power for power in (sound.noise, sound.voiced) if power is not None]
        if maps:
            gain_of_maps = gain / max(_loudness(np.sum(maps, axis=0, dtype=np.float32) @ bandwidths), 1e-20)
            if sound.noise is not None:
                self.noise += np.float32(gain_of_maps) * sound.noise
            if sound.voiced is not None:
                self.voiced += np.float32(gain_of_maps) * sound.voiced
        if sound.tone is not None:
            loudness = _loudness(np.square(sound.tone))
            self.tone += np.float32(np.sqrt(gain / max(loudness, 1e-20))) * sound.tone


def _pulses(grid: Grid, rng: Generator) -> Signal:
    """Generate the glottal pulses of a talker, with a power spectral density of about 1/Hz up to 6 kHz, [sample]."""
    pitch = rng.uniform(95, 230) * 2 ** (textures.wander(grid, rng, 0.5, 0.15) + textures.wander(grid, rng, 2.0, 0.1))
    count = max(1, int(6000 / pitch.mean()))
    pulses = harmonic_tone(grid.sample_rate, grid.sample_curve(pitch), np.ones(count, np.float32))
    return pulses * np.float32(np.sqrt(pitch.mean() / 2))


def _strays(place: Generator) -> tuple[Layer, ...]:
    texture = _STRAYS[place.integers(len(_STRAYS))]
    return (Layer(texture, STRAY_LEVEL, clips=0.8),) if place.random() < STRAY else ()


def record(grid: Grid, scene: str, place_seed: tuple[int, ...], clip_seed: tuple[int, ...]) -> Signal:
    """Generate one recording of `scene` before any device, [sample], full scale 1.

    `place_seed` determines the properties of the location, `clip_seed` those of the clip.
    """
    place, rng = np.random.default_rng(place_seed), np.random.default_rng(clip_seed)
    recipe = RECIPES[scene]
    colour = textures.decibels(COLOUR * _smooth(place, len(grid.bands)))
    level = recipe.level + PLACE_LEVEL_SPREAD * place.standard_normal() + CLIP_LEVEL_SPREAD * rng.standard_normal()
    mix = _Mix.silence(grid)
    for number, layer in enumerate(recipe.layers + _strays(place)):
        of_layer = np.random.default_rng((*place_seed, number))
        layer_level = layer.level + PLACE_SPREAD * of_layer.standard_normal() + CLIP_SPREAD * rng.standard_normal()
        if of_layer.random() < layer.places and rng.random() < layer.clips:
            mix.add(layer.texture(grid, of_layer, rng), layer_level)
    microphone = mix.power * 10 ** ((MICROPHONE_NOISE - level) / 10) / (grid.sample_rate / 2)
    excitations: list[tuple[Signal, Signal]] = [(white_noise(grid, rng), mix.noise * colour + np.float32(microphone))]
    if mix.voiced.any():
        excitations.append((_pulses(grid, rng), mix.voiced * colour))
    wave = shape(grid, excitations) + mix.tone
    wave *= np.float32(10 ** (level / 20) / np.sqrt(np.mean(np.square(wave))))
    return wave * np.float32(min(1.0, HIGHEST_PEAK / np.abs(wave).max()))


def _smooth(place: Generator, bands: int, every: int = 8) -> Signal:
    """A random curve with a standard deviation of about one and a new value every `every` bands, [band]."""
    knots = place.standard_normal(bands // every + 2)
    return np.interp(np.arange(bands) / every, np.arange(len(knots)), knots).astype(np.float32)
