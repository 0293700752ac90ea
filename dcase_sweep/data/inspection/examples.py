"""One clip of each class to listen to and to look at."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.reading import AudioProblem, read_waveform
from dcase_sweep.data.events import EventData
from dcase_sweep.data.inspection.counts import labels_of
from dcase_sweep.data.inspection.recordings import Measured
from dcase_sweep.utils.palette import SPECTROGRAM

#: Of the examples: length (s), sample rate (Hz), and how much before an event is heard (s).
SECONDS, RATE, _BEFORE = 5.0, 22_050, 0.5
#: Recordings of a class that are tried at most.
_TRIED = 5
#: Samples of a spectrum and from one to the next; rows and columns of the image.
_FFT, _HOP, _ROWS, _COLUMNS = 1024, 256, 160, 430
#: Dynamic range of the image (dB).
RANGE = 80.0


@dataclass(frozen=True, slots=True)
class Example:
    """A clip of one class.

    Attributes:
        label: the class.
        filename: name of the recording.
        start: start in the recording, s.
        seconds: its length.
        audio: an encoded file.
        media_type: media type of the encoded file.
        image: its spectrogram from 0 Hz to half of `RATE`, as PNG.
    """

    label: str
    filename: str
    start: float
    seconds: float
    audio: bytes
    media_type: str
    image: bytes


def make_examples(data: Any, recordings: Sequence[Measured]) -> list[Example]:
    """Return an example of each class that has a recording that can be read and begins with a sound."""
    usable = {each.name: each.levels.seconds for each in recordings if each.problem is None and each.levels is not None}
    made = (_make(Path(data.root), label, places, usable) for label, places in _find_places(data, usable).items())
    return [each for each in made if each is not None]


def _make(root: Path, label: str, places: Sequence[tuple[str, float]], usable: Mapping[str, float]) -> Example | None:
    for name, start in places[:_TRIED]:
        end = min(usable[name], start + SECONDS)
        try:
            waveform = read_waveform(root / name, sample_rate=RATE, seconds=end, padding="zeros")
        except AudioProblem:  # silent up to there, or changed since it was measured
            continue
        samples = waveform.samples[round(start * RATE) :]
        audio, media_type = _encode(samples)
        return Example(label, name, start, len(samples) / RATE, audio, media_type, _draw(samples))
    return None


def _find_places(data: Any, usable: Mapping[str, float]) -> dict[str, list[tuple[str, float]]]:
    """Return recordings of each class and where in them to begin: those with the earliest events, then by name."""
    places: dict[str, list[tuple[str, float]]] = {}
    if isinstance(data, EventData):
        events = [
            (event.onset, clip.filename, event.event_label)
            for clip in data.clips
            for event in clip.events
            if clip.filename in usable
        ]
        for onset, name, label in sorted(events):
            places.setdefault(label, []).append((name, max(0.0, onset - _BEFORE)))
    for name, labels in labels_of(data).items():
        for label in labels if name in usable else ():
            places.setdefault(label, []).append((name, 0.0))
    return dict(sorted(places.items()))


def _encode(samples: NDArray[np.float32]) -> tuple[bytes, str]:
    """Encode samples as MP3, which every browser plays, or as WAV where libsndfile cannot write MP3."""
    import soundfile

    audible = samples / max(1.0, float(np.abs(samples).max()))
    has_mp3 = "MP3" in soundfile.available_formats()
    target = io.BytesIO()
    if has_mp3:
        soundfile.write(target, audible, RATE, format="MP3")
    else:
        soundfile.write(target, audible, RATE, format="WAV", subtype="PCM_16")
    return target.getvalue(), "audio/mpeg" if has_mp3 else "audio/wav"


def _draw(samples: NDArray[np.float32]) -> bytes:
    """Draw the spectrogram in dB, its loudest point at the upper end of the range."""
    from matplotlib.image import imsave

    padded = np.pad(samples, (0, max(0, _FFT - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP] * np.hanning(_FFT).astype(np.float32)
    power = np.abs(np.fft.rfft(frames)) ** 2
    decibel = 10 * np.log10(np.maximum(power, 1e-12)).T[::-1]
    rows = np.linspace(0, decibel.shape[0] - 1, _ROWS).round().astype(int)
    columns = np.linspace(0, decibel.shape[1] - 1, _COLUMNS).round().astype(int)
    image = decibel[np.ix_(rows, columns)]
    target = io.BytesIO()
    imsave(target, image, cmap=SPECTROGRAM, vmin=float(image.max()) - RANGE, vmax=float(image.max()), format="png")
    return target.getvalue()
