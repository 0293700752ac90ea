"""Features of many files, on all cores or on a GPU."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.audio.front_end import ClipFrontEnd
from dcase_sweep.audio.reading import AudioProblem, Waveform, read_waveform
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.malloc import keep_large_allocations

#: Clips in a call of the front end: one fits in a core's cache, a GPU needs more to be busy.
_BATCH_SIZE = {"cpu": 1, "gpu": 32}
#: Clips in a task of a thread: each finished task wakes the collecting thread, and both need Python's lock.
_A_TASK = {"cpu": 4, "gpu": 32}


def stored_shape(front_end: ClipFrontEnd) -> tuple[int, int]:
    """``(mel, frame)`` of one clip in the store."""
    shape: tuple[int, int] = getattr(front_end, "stored_shape", front_end.shape)
    return shape


def stored_dtype(front_end: ClipFrontEnd) -> str:
    """The type of stored values."""
    return str(getattr(front_end, "stored_dtype", "float32"))


@dataclass(frozen=True, slots=True)
class ClipState:
    """The state of a clip after reading."""

    padded: bool = False
    cut: bool = False
    resampled: bool = False
    #: The problem of the file, without its name.
    problem: str | None = None
    #: Length of the recording in its file; 0 if it could not be read, or was read by an earlier version without
    #: lengths.
    seconds: float = 0.0


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let each operator of PyTorch use ``count`` threads in the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read(path: Path, front_end: ClipFrontEnd) -> tuple[Waveform | None, ClipState]:
    try:
        waveform = read_waveform(
            path, sample_rate=front_end.sample_rate, seconds=front_end.seconds, padding=front_end.padding
        )
    except AudioProblem as problem:
        return None, ClipState(problem=problem.listed)
    return waveform, ClipState(
        waveform.was_padded, waveform.was_cut, waveform.was_resampled, seconds=round(waveform.seconds, 3)
    )


def _features(paths: Sequence[Path], front_end: ClipFrontEnd, device: str) -> list[tuple[Any, ClipState]]:
    """Compute features and state of a few files; the features of a file that cannot be read are zeros."""
    import torch

    read = [_read(path, front_end) for path in paths]
    samples = [waveform.samples for waveform, _ in read if waveform is not None]
    computed: Iterator[NDArray[np.float32]] = iter(())
    if samples:
        with torch.inference_mode():
            waveforms = samples[0][None] if len(samples) == 1 else np.stack(samples)
            transform = getattr(front_end, "for_store", front_end)
            result = transform(torch.from_numpy(waveforms).to(device))
            _check_features(result, front_end, [path for path, (found, _) in zip(paths, read, strict=True) if found])
            computed = iter(result.cpu().numpy())
    silence = np.zeros(stored_shape(front_end), dtype=stored_dtype(front_end))
    return [(silence if waveform is None else next(computed), state) for waveform, state in read]


def _check_features(features: Any, front_end: ClipFrontEnd, paths: Sequence[Path]) -> None:
    """Check what a front end has computed of some files.

    Raises:
        UserError: for anything but finite values of the shape that the front end has stated.
    """
    import torch

    name, expected = type(front_end).__name__, (len(paths), *stored_shape(front_end))
    if not isinstance(features, torch.Tensor):
        raise UserError(f"front_end: {name} returned a {type(features).__name__}; expected a tensor [clip, mel, frame]")
    if features.shape != expected:
        raise UserError(
            f"front_end: {name} returned features {list(features.shape)}; expected {list(expected)}, clips and the "
            "(mel, frame) of its attribute shape"
        )
    if features.is_floating_point() and not features.isfinite().all():
        bad = next(path for path, each in zip(paths, features, strict=True) if not each.isfinite().all())
        raise UserError(f"front_end: {name} returned values of {bad} that are not finite; expected finite ones")


def compute_features(
    root: Path,
    names: Sequence[str],
    front_end: ClipFrontEnd,
    *,
    device: str = "cpu",
    workers: int = 1,
    after_reading: Callable[[int, ClipState], None] | None = None,
) -> Iterator[tuple[int, NDArray[np.float32], ClipState]]:
    """Position, features ``[mel, frame]`` as they are stored, and state of each file, in order.

    ``after_reading`` is called with the position and the state of each file that was read, in the thread that read it;
    what it raises ends the computation.

    Each thread takes one file after the other: reading, the transforms and the products all release Python's lock, and
    a clip that is read and transformed by one core never leaves its cache, which no parallel operator matches.
    """
    import torch
    from threadpoolctl import threadpool_limits

    keep_large_allocations()
    kind = "cpu" if device == "cpu" else "gpu"
    batches = _ranges(range(len(names)), _A_TASK[kind])

    def task(batch: range) -> list[tuple[Any, ClipState]]:
        found = []
        for part in _ranges(batch, _BATCH_SIZE[kind]):
            computed = _features([root / names[position] for position in part], front_end, device)
            if after_reading is not None:
                for position, (_, state) in zip(part, computed, strict=True):
                    after_reading(position, state)
            found += computed
        return found

    # NumPy's matrix products use one thread each, like PyTorch's operators.
    with (
        torch_threads(1),
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(1)) as pool,
    ):
        pending: list[tuple[range, Future[list[tuple[Any, ClipState]]]]] = []
        try:
            upcoming = iter(batches)
            for batch in upcoming:
                pending.append((batch, pool.submit(task, batch)))
                if len(pending) >= 4 * workers:
                    yield from _collect(*pending.pop(0))
            for batch, future in pending:
                yield from _collect(batch, future)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ranges(of: range, size: int) -> list[range]:
    return [of[start : start + size] for start in range(0, len(of), size)]


def _collect(
    batch: range, future: "Future[list[tuple[Any, ClipState]]]"
) -> Iterator[tuple[int, NDArray[np.float32], ClipState]]:
    for position, (features, state) in zip(batch, future.result(), strict=True):
        yield position, features, state
