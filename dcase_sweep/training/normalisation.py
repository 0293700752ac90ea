"""The clips and frames over which the mel bands are normalised."""

import hashlib
import os
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.config import Experiment, build_front_end
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.training.batches import band_statistics

#: The latest statistics of stored features. The jobs of a sweep and the trials of a search use the same ones.
_latest: dict[Hashable, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
_KEPT = 8


def network_frames(experiment: Experiment, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Select the frames of the network's input: ``[clip, mel, stored frame]`` → ``[clip, mel, frame]``."""
    frames: int = build_front_end(experiment).shape[1]
    return features[:, :, :frames]


def normalisation(
    experiment: Experiment, data: SceneData, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the mean and standard deviation of each mel band ``[mel]`` according to ``training.normalise_over``.

    ``train+validation`` is the rule of the DCASE 2021 task 1A baseline system, which normalises before splitting: all
    clips of the training list and all stored frames, with the deviation of a sample (n-1). ``train`` uses the training
    clips and the frames of the network's input, with the deviation of a population (n).

    Those of stored features are computed once in a process for the same recordings.

    Args:
        features: stored features, ``[recording, mel, stored frame]``.
    """
    is_train = experiment.training.normalise_over == "train"
    used = network_frames(experiment, features) if is_train else features
    rows = data.train if is_train else np.union1d(data.train, data.validation)
    key = _identify(used, rows, is_train)
    if key is None:
        return band_statistics(used, rows, ddof=0 if is_train else 1)
    if key not in _latest:
        while len(_latest) >= _KEPT:
            _latest.pop(next(iter(_latest)))
        _latest[key] = band_statistics(used, rows, ddof=0 if is_train else 1)
    mean, deviation = _latest[key]
    return mean.copy(), deviation.copy()


def _identify(features: NDArray[np.float32], rows: NDArray[np.int64], is_train: bool) -> Hashable:
    """Return what the statistics of stored features depend on; None if the features are not those of a file."""
    path = getattr(features, "filename", None)
    if path is None:
        return None
    try:
        state = os.stat(path)
    except OSError:  # removed while it is mapped
        return None
    file = (str(path), state.st_ino, state.st_size, state.st_mtime_ns)
    return file, features.shape, features.strides, hashlib.sha256(rows.tobytes()).digest(), is_train
