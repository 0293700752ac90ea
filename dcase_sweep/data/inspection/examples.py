"""An example of each class, with its sound and its spectrogram."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.reading import read_waveform
from dcase_sweep.data.events import EventData
from dcase_sweep.data.inspection.counts import labels_of
from dcase_sweep.data.inspection.recordings import Measured

#: Length (s) and sample rate (Hz) of the examples, and time before an event (s).
SECONDS, RATE, _BEFORE = 5.0, 22_050, 0.5
#: Length and hop of the spectra in samples; rows and columns of the image.
_FFT, _HOP, _ROWS, _COLUMNS = 1024, 256, 160, 430
#: Dynamic range of the image (dB).
_RANGE = 80.0


@dataclass(frozen=True, slots=True)
class Example:
    """An example of one class.

    Attributes:
        label: the class.
        filename: name of the recording.
        start: start in the recording, s.
        seconds: length, s.
        audio: content of an encoded audio file.
        media_type: media type of the audio file.
        image: spectrogram from 0 Hz to half of `RATE`, as PNG.
    """

    label: str
    filename: str
    start: float
    seconds: float
    audio: bytes
    media_type: str
    image: bytes


def make_examples(data: Any, recordings: Sequence[Measured]) -> list[Example]:
    """Return an example of each class with a readable recording."""
    usable = {each.name: each for each in recordings if each.problem is None and each.levels is not None}
    made = []
    for label, (name, start) in _choose(data, usable).items():
        levels = usable[name].levels
        assert levels is not None
        end = min(levels.seconds, start + SECONDS)
        waveform = read_waveform(Path(data.root) / name, sample_rate=RATE, seconds=end, padding="zeros")
        samples = waveform.samples[round(start * RATE) :]
        audio, media_type = _encode(samples)
        made.append(Example(label, name, start, len(samples) / RATE, audio, media_type, _draw(samples)))
    return made


def _choose(data: Any, usable: dict[str, Measured]) -> dict[str, tuple[str, float]]:
    """Return a recording and a start time (s) for each class: the first recording by name, or the earliest event."""
    chosen: dict[str, tuple[str, float]] = {}
    if isinstance(data, EventData):
        events = [
            (event.onset, clip.filename, event.event_label)
            for clip in data.clips
            for event in clip.events
            if clip.filename in usable
        ]
        for onset, name, label in sorted(events):
            chosen.setdefault(label, (name, max(0.0, onset - _BEFORE)))
    for name, labels in labels_of(data).items():
        for label in labels if name in usable else ():
            chosen.setdefault(label, (name, 0.0))
    return dict(sorted(chosen.items()))


def _encode(samples: NDArray[np.float32]) -> tuple[bytes, str]:
    """Encode samples as MP3, which all browsers support, or as WAV if libsndfile cannot write MP3."""
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
    """Draw the spectrogram in dB relative to its maximum."""
    from matplotlib.image import imsave

    padded = np.pad(samples, (0, max(0, _FFT - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP] * np.hanning(_FFT).astype(np.float32)
    power = np.abs(np.fft.rfft(frames)) ** 2
    decibel = 10 * np.log10(np.maximum(power, 1e-12)).T[::-1]
    rows = np.linspace(0, decibel.shape[0] - 1, _ROWS).round().astype(int)
    columns = np.linspace(0, decibel.shape[1] - 1, _COLUMNS).round().astype(int)
    image = decibel[np.ix_(rows, columns)]
    target = io.BytesIO()
    imsave(target, image, cmap="magma", vmin=float(image.max()) - _RANGE, vmax=float(image.max()), format="png")
    return target.getvalue()
