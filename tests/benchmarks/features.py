"""How fast features of task 1A are computed: `python -m tests.benchmarks.features`.

Three sides work on the same files with as many workers as the machine has cores:

  read      soundfile reads the samples as float32 in a thread pool, and nothing else
  features  dcase_sweep.data.compute.compute_features: reading and the log-mel front end
  librosa   soundfile and librosa, the way of the published baseline, in a pool of processes that are warmed up

Every file has been read before, so that none of the sides waits for the disk. A table follows, measured in turn:
clips a second, and the ratios to the other two. The first line of it says how far features and librosa differ.
"""

import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.figures import Figure, record
from tests.benchmarks.measure import describe_machine, make_parser, print_table, ratio, recordings, time_in_turn

#: The settings of task 1A that librosa is called with.
RATE, N_FFT, WINDOW, HOP, MELS, FLOOR = 44_100, 2048, 1764, 882, 40, 2.2e-16


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--clips", type=int, default=100, help="how many files a round (default: 100)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (default: 9)")
    options = parser.parse_args()
    with recordings(options.root) as root:
        paths = sorted((root / "audio").glob("*.wav"))[: options.clips]
        if not paths:
            parser.error(f"{root / 'audio'}: no WAV files; expected a folder in TAU's layout")
        _compare(paths, options.rounds)


def _compare(paths: Sequence[Path], rounds: int) -> None:
    from dcase_sweep.audio.log_mel import LogMel
    from dcase_sweep.data.compute import compute_features

    cores = os.cpu_count() or 1
    front_end = LogMel(
        sample_rate=RATE,
        seconds=10.0,
        window_seconds=WINDOW / RATE,
        hop_seconds=HOP / RATE,
        n_fft=N_FFT,
        n_mels=MELS,
        f_min=0.0,
        f_max=RATE / 2,
        floor=FLOOR,
    )
    names, folder = [path.name for path in paths], paths[0].parent

    def ours() -> list[NDArray[np.float32]]:
        return [features for _, features, _ in compute_features(folder, names, front_end, workers=cores)]

    with _one_thread_each():
        processes = ProcessPoolExecutor(cores, mp_context=get_context("spawn"))
        theirs = list(processes.map(librosa_features, paths, chunksize=4))
    with processes, ThreadPoolExecutor(cores) as threads:
        difference = max(float(np.abs(a - b).max()) for a, b in zip(ours(), theirs, strict=True))
        seconds = time_in_turn(
            {
                "read": lambda: list(threads.map(_read, paths)),
                "features": ours,
                "librosa": lambda: list(processes.map(librosa_features, paths, chunksize=4)),
            },
            rounds,
        )
    print(describe_machine())
    print(f"{len(paths)} clips, {rounds} rounds in turn, {cores} workers a side, files in memory")
    print(f"largest difference from librosa: {difference:.1e} (natural logarithm)")
    rows: list[tuple[str, ...]] = [("", "clips/s", "× read", "× librosa")]
    for name, taken in seconds.items():
        rate = len(paths) / statistics.median(taken)
        compared = (f"{ratio(seconds[other], taken):.2f}" for other in ("read", "librosa"))
        rows.append((name, f"{rate:.0f}", *compared))
    print_table(rows)
    record(Figure("features beside reading the files", ratio(seconds["read"], seconds["features"]), "×", aim=0.6))
    record(Figure("features beside librosa", ratio(seconds["librosa"], seconds["features"]), "×", aim=1.5))
    print("aimed at: features at least 0.6 × read and 1.5 × librosa")


def _read(path: Path) -> int:
    import soundfile

    return len(soundfile.read(path, dtype="float32")[0])


def librosa_features(path: Path) -> NDArray[np.float32]:
    """Log-mel energies ``[mel, frame]`` of one file by librosa."""
    import librosa
    import scipy.signal
    import soundfile

    samples, _ = soundfile.read(path, dtype="float32")
    window = scipy.signal.windows.hamming(WINDOW, sym=False)
    spectrum = librosa.stft(
        samples, n_fft=N_FFT, win_length=WINDOW, hop_length=HOP, window=window, center=True, pad_mode="reflect"
    )
    filters = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=MELS, fmin=0, fmax=RATE / 2)
    log_mel: NDArray[np.float32] = np.log(filters @ np.abs(spectrum) + FLOOR)
    return log_mel


class _one_thread_each:
    """Processes that start meanwhile compute on one thread each."""

    NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.NAMES}
        os.environ.update(dict.fromkeys(self.NAMES, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


if __name__ == "__main__":
    main()
