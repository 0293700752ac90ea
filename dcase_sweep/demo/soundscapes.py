"""A synthetic data set in the layout of DESED as used in DCASE 2021 task 4, generated in seconds.

`generate_soundscapes` writes the data set; `is_complete` checks whether it exists. As in the synthetic part of DESED, a
soundscape contains one to five events, 6 to 30 dB above the background. Events of the same class do not overlap.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dcase_sweep.data.desed_folders import Place, places
from dcase_sweep.data.desed_tables import DURATION_COLUMNS, STRONG_COLUMNS, WEAK_COLUMNS
from dcase_sweep.data.events import SUBSETS, SoundEvent
from dcase_sweep.demo import textures
from dcase_sweep.demo.generation import (
    GeneratedFolder,
    are_whole,
    in_parallel,
    is_whole,
    table_text,
    wav_bytes,
    write_text,
    write_wav,
)
from dcase_sweep.demo.rendering import Grid, Signal, shape, white_noise
from dcase_sweep.demo.sounds import EVENT_SECONDS, SOUNDS

#: Increased when the recordings for the same parameters change.
VERSION = 1
SUBTYPE = "PCM_16"
SMALLEST_SAMPLE_RATE = 8_000
CLASSES = tuple(sorted(SOUNDS))

MOST_EVENTS = 5
SHORTEST_EVENT = 0.25
#: Minimum silence between two events of the same class, s.
GAP = 0.15
#: Level of an event above the background, dB.
SNR = (6.0, 30.0)
#: RMS level of the background, dB below full scale.
BACKGROUND_LEVEL = -50.0
FADE_SECONDS = 0.01
HIGHEST_PEAK = 0.9
BACKGROUNDS = (textures.ventilation, textures.distant_traffic, textures.rumble, textures.wind)

README = """Synthetic soundscapes
=====================

Nothing in this folder was recorded: every sound was synthesised by the demo generator of dcase_sweep. The folder only
has the layout, and the names of subsets and classes, of DESED as DCASE 2021 task 4 uses it, so that everything can be
tried without a download; its "weak", "unlabelled" and "validation" clips are as synthetic as the others. Results
are not representative of real sounds.

You can delete the recordings at any time. They are generated again with the parameters in generator.json.
"""


@dataclass(frozen=True)
class _Parameters:
    version: int
    strong_clips: int
    weak_clips: int
    unlabeled_clips: int
    synthetic_validation_clips: int
    validation_clips: int
    seed: int
    seconds: float
    sample_rate: int

    def __post_init__(self) -> None:
        for subset, clips in self.clips.items():
            if clips < 1:
                raise ValueError(f"demo soundscapes: {subset}_clips is {clips}; expected at least 1")
        if self.seed < 0:
            raise ValueError(f"demo soundscapes: seed is {self.seed}; expected 0 or more")
        if self.seconds < 1:
            raise ValueError(f"demo soundscapes: seconds is {self.seconds}; expected at least 1")
        if self.sample_rate < SMALLEST_SAMPLE_RATE:
            raise ValueError(
                f"demo soundscapes: sample_rate is {self.sample_rate}; expected {SMALLEST_SAMPLE_RATE} or more"
            )

    @property
    def clips(self) -> dict[str, int]:
        return {subset: getattr(self, f"{subset}_clips") for subset in SUBSETS}

    @cached_property
    def grid(self) -> Grid:
        return Grid(round(self.seconds * self.sample_rate), self.sample_rate)


@dataclass(frozen=True, slots=True)
class _Soundscape:
    """One clip to generate: its place in the data set and its events."""

    subset: str
    number: int
    events: tuple[SoundEvent, ...]
    #: Level of each event above the background, dB.
    snr: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.number}.wav"


def generate_soundscapes(
    root: Path,
    *,
    strong_clips: int = 60,
    weak_clips: int = 40,
    unlabeled_clips: int = 80,
    synthetic_validation_clips: int = 20,
    validation_clips: int = 40,
    seed: int = 2021,
    seconds: float = 10.0,
    sample_rate: int = 16_000,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `audio/` and `metadata/` of all five subsets and a README.txt under `root`.

    The recordings are mono WAV files of 16 bits. The same parameters give the same recordings, independent of the
    number of `workers` (threads, by default one per core). Another processor or library may round the last bits
    differently.

    An interrupted generation is continued, and recordings with other parameters are replaced. The caller must prevent
    two processes from generating into one folder. `on_progress(done, total)` is called after every clip.

    Raises:
        ValueError: for an empty subset, a negative seed, less than one second, or a sample rate below 8 kHz.
        UserError: if `root` contains a data set that this generator did not write.
    """
    sizes = (strong_clips, weak_clips, unlabeled_clips, synthetic_validation_clips, validation_clips)
    parameters = _Parameters(VERSION, *sizes, seed, seconds, sample_rate)
    folder, where = _folder(root, parameters), places(root)
    is_replaced = folder.has_other_parameters
    folder.begin()
    if is_replaced:
        _remove_old_recordings(where)
    for place in where.values():
        (root / place.audio).mkdir(parents=True, exist_ok=True)
    soundscapes = list(_plan(parameters))

    def write(soundscape: _Soundscape) -> None:
        path, grid = root / where[soundscape.subset].audio / soundscape.name, parameters.grid
        if not is_whole(path, samples=grid.samples, subtype=SUBTYPE):
            write_wav(path, _render(grid, soundscape, seed), sample_rate=sample_rate, subtype=SUBTYPE)

    in_parallel(write, soundscapes, workers=workers, on_progress=on_progress)
    for relative, text in _tables(where, soundscapes, seconds).items():
        write_text(root / relative, text)
    folder.finish()


def count_bytes(clips: int, *, seconds: float = 10.0, sample_rate: int = 16_000) -> int:
    """Return the size of this number of recordings in bytes."""
    return clips * wav_bytes(round(seconds * sample_rate), SUBTYPE)


def is_complete(
    root: Path,
    *,
    strong_clips: int = 60,
    weak_clips: int = 40,
    unlabeled_clips: int = 80,
    synthetic_validation_clips: int = 20,
    validation_clips: int = 40,
    seed: int = 2021,
    seconds: float = 10.0,
    sample_rate: int = 16_000,
) -> bool:
    """Whether `generate_soundscapes` with these parameters has finished in `root` and every file is complete."""
    sizes = (strong_clips, weak_clips, unlabeled_clips, synthetic_validation_clips, validation_clips)
    parameters = _Parameters(VERSION, *sizes, seed, seconds, sample_rate)
    if not _folder(root, parameters).is_finished:
        return False
    where = places(root)
    audio = [f"{where[subset].audio}/{n}.wav" for subset, clips in parameters.clips.items() for n in range(clips)]
    return all((root / name).is_file() for name in _tables(where, [], seconds)) and are_whole(
        root, audio, samples=parameters.grid.samples, subtype=SUBTYPE
    )


def _folder(root: Path, parameters: _Parameters) -> GeneratedFolder:
    return GeneratedFolder(root, asdict(parameters), README)


# --- events and waveforms ---------------------------------------------------------------------------------------


def _plan(parameters: _Parameters) -> Iterator[_Soundscape]:
    """Yield every clip and its events; each has its own generator, so it does not depend on the sizes of subsets."""
    for index, (subset, clips) in enumerate(parameters.clips.items()):
        for number in range(clips):
            rng = np.random.default_rng((parameters.seed, index, number))
            events = _draw_events(rng, parameters.seconds)
            snr = tuple(float(level) for level in rng.uniform(*SNR, len(events)))
            yield _Soundscape(subset, number, events, snr)


def _draw_events(rng: np.random.Generator, seconds: float) -> tuple[SoundEvent, ...]:
    """Draw one to five events, sorted by onset, in whole milliseconds; events of a class do not overlap."""
    events: list[SoundEvent] = []
    for _ in range(rng.integers(1, MOST_EVENTS + 1)):
        label = CLASSES[rng.integers(len(CLASSES))]
        length = min(rng.uniform(*EVENT_SECONDS[label]), seconds)
        # Long sounds start early enough that at least half of their length is audible; the rest is cut at the end of
        # the clip.
        onset = round(rng.uniform(0, seconds - max(SHORTEST_EVENT, length / 2)), 3)
        offset = round(min(onset + length, seconds), 3)
        meets = [e for e in events if e.event_label == label and onset < e.offset + GAP and offset > e.onset - GAP]
        if not meets:
            events.append(SoundEvent(onset, offset, label))
    return tuple(sorted(events, key=lambda event: (event.onset, event.offset, event.event_label)))


def _render(grid: Grid, soundscape: _Soundscape, seed: int) -> Signal:
    """Render the clip's waveform, [sample]."""
    root = (seed, SUBSETS.index(soundscape.subset), soundscape.number)
    mix = _background(grid, np.random.default_rng((*root, 1)))
    for number, (event, snr) in enumerate(zip(soundscape.events, soundscape.snr, strict=True), start=2):
        begin, end = round(event.onset * grid.sample_rate), round(event.offset * grid.sample_rate)
        of_event = Grid(min(end, grid.samples) - begin, grid.sample_rate)
        wave = SOUNDS[event.event_label](of_event, np.random.default_rng((*root, number)))
        mix[begin : begin + of_event.samples] += _at_level(_faded(wave, grid.sample_rate), BACKGROUND_LEVEL + snr)
    return mix * np.float32(min(1.0, HIGHEST_PEAK / float(np.abs(mix).max())))


def _background(grid: Grid, rng: np.random.Generator) -> Signal:
    """Generate the background of a room or a street, without sounds of the classes."""
    sound = BACKGROUNDS[rng.integers(len(BACKGROUNDS))](grid, rng, rng)
    assert sound.noise is not None
    return _at_level(shape(grid, [(white_noise(grid, rng), sound.noise)]), BACKGROUND_LEVEL)


def _at_level(wave: Signal, level: float) -> Signal:
    rms = np.sqrt(np.mean(np.square(wave, dtype=np.float64)))
    return (wave * (10 ** (level / 20) / max(float(rms), 1e-12))).astype(np.float32)


def _faded(wave: Signal, sample_rate: int) -> Signal:
    length = min(int(FADE_SECONDS * sample_rate), len(wave) // 4)
    envelope = np.ones(len(wave), np.float32)
    envelope[:length] = np.linspace(0, 1, length)
    envelope[len(wave) - length :] = np.linspace(1, 0, length)
    return wave * envelope


# --- folder -----------------------------------------------------------------------------------------------------


def _tables(where: dict[str, Place], soundscapes: list[_Soundscape], seconds: float) -> dict[str, str]:
    """Return the text of each table by its path under the root."""
    tables = {}
    for subset, place in where.items():
        clips = [soundscape for soundscape in soundscapes if soundscape.subset == subset]
        tables[place.metadata] = _label_table(subset, clips)
        if place.duration_table:
            tables[place.duration_table] = table_text(DURATION_COLUMNS, [(clip.name, seconds) for clip in clips])
    return tables


def _label_table(subset: str, clips: list[_Soundscape]) -> str:
    if subset == "unlabeled":
        return table_text(("filename",), [(clip.name,) for clip in clips])
    if subset == "weak":
        rows = [(clip.name, ",".join(sorted({event.event_label for event in clip.events}))) for clip in clips]
        return table_text(WEAK_COLUMNS, rows)
    events = [(clip.name, event) for clip in clips for event in clip.events]
    return table_text(STRONG_COLUMNS, [(name, e.onset, e.offset, e.event_label) for name, e in events])


def _remove_old_recordings(where: dict[str, Place]) -> None:
    """Remove the recordings of an earlier generation with other parameters, and no other files."""
    for place in where.values():
        for path in (place.root / place.audio).glob("*.*"):
            if path.stem.isdecimal() and path.suffix in {".wav", ".part"}:
                path.unlink()
        for name in filter(None, (place.metadata, place.duration_table)):
            (place.root / name).unlink(missing_ok=True)
