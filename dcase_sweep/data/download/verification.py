"""Comparison of an archive, or of its unpacked recordings, with the published digest."""

import hashlib
import threading
import wave
from collections.abc import Callable
from pathlib import Path

from dcase_sweep.data.download.transfer import Stopped

_CHUNK = 2**20


def compute_digest(path: Path, like: str, *, stop: threading.Event, on_bytes: Callable[[int], None]) -> str:
    """Compute the digest of a file with the algorithm of another one: ``md5:...`` or ``sha256:...``.

    Raises:
        Stopped: if ``stop`` was set.
    """
    algorithm = like.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if stop.is_set():
                raise Stopped
            digest.update(chunk)
            done += len(chunk)
            on_bytes(done)
    return f"{algorithm}:{digest.hexdigest()}"


def compute_recordings_digest(root: Path) -> str:
    """Compute a digest of all WAV files in ``audio/`` that does not depend on how they were packed.

    It covers the path, a zero byte and the samples of each, in the order of their paths: ``sha256:...``.

    Raises:
        ValueError: if a file is not a WAV file.
    """
    digest = hashlib.sha256()
    for path in sorted((root / "audio").glob("*.wav"), key=lambda path: path.name):
        try:
            with wave.open(str(path), "rb") as recording:
                samples = recording.readframes(recording.getnframes())
        except (wave.Error, EOFError) as error:
            raise ValueError(f"{path.name}: {error}") from None
        digest.update(f"audio/{path.name}".encode() + b"\0" + samples)
    return f"sha256:{digest.hexdigest()}"
