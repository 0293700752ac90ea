"""The clips and frames over which the mel bands are normalised."""

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.config import Experiment, build_front_end
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.training.batches import band_statistics

#: Valid values of ``training.normalise_over``.
NORMALISATIONS = ("train+validation", "train")


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

    Args:
        features: stored features, ``[recording, mel, stored frame]``.
    """
    if experiment.training.normalise_over == "train":
        return band_statistics(network_frames(experiment, features), data.train)
    return band_statistics(features, np.union1d(data.train, data.validation), ddof=1)
