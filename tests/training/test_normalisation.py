"""Mean and deviation of the mel bands, compared with double precision results from the recordings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile

from dcase_sweep.config import Experiment, find_learner
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.tasks.features import load_features
from dcase_sweep.training import normalisation as module
from dcase_sweep.training.keras.library import is_installed
from dcase_sweep.training.normalisation import network_frames, normalisation
from tests.composing import composed
from tests.conftest import TINY
from tests.layout import make_tau

#: Both sides of the split; one second gives 50 frames that the network sees, and the 51st.
SECONDS = 1.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tau(tmp_path_factory.mktemp("tau"))


def experiment_of(root: Path, *more: str) -> Experiment:
    return composed("data=tau2020", f"data.root={root}", f"store.root={root.parent}/store", *TINY, *more)


def official_statistics(data: SceneData) -> tuple[np.ndarray, np.ndarray]:
    """Compute the statistics of dcase_util's Normalizer over the training list in double precision, ``[mel]`` each.

    It adds up n, the sum and the sum of squares of each clip's frames, all of them, and divides by n and by n (n-1).
    """
    count, total, squares = 0, np.zeros(40), np.zeros(40)
    window = scipy.signal.windows.hamming(1764, sym=False)
    filters = librosa.filters.mel(sr=44_100, n_fft=2048, n_mels=40, fmin=0, fmax=22_050, dtype=np.float64)
    for index in [*data.train, *data.validation]:
        samples, _ = soundfile.read(data.root / data.recordings[index].filename, dtype="float64")
        spectrum = librosa.stft(
            samples, n_fft=2048, hop_length=882, win_length=1764, window=window, pad_mode="reflect", dtype=np.complex128
        )
        log_mel = np.log(filters @ np.abs(spectrum) + 2.2e-16)
        assert log_mel.shape == (40, 51)
        count += log_mel.shape[1]
        total += log_mel.sum(axis=1)
        squares += (log_mel**2).sum(axis=1)
    return total / count, np.sqrt((count * squares - total * total) / (count * (count - 1)))


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_the_recipe_takes_every_training_clip_and_every_frame(
    root: Path, framework: str, request: pytest.FixtureRequest
) -> None:
    if framework == "tensorflow":
        if not is_installed():
            pytest.skip("TensorFlow is not installed")
        request.getfixturevalue("one_tensorflow_thread")
    experiment = experiment_of(root, f"framework={framework}")
    data, store = load_features(experiment)
    assert isinstance(data, SceneData)
    mean, deviation = official_statistics(data)

    learner: Any = find_learner(experiment)(experiment, data, store.features)

    state = learner.module.state_dict() if framework == "torch" else learner.state_dict()
    np.testing.assert_allclose(state["mean"][:, 0], mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(state["deviation"][:, 0], deviation, rtol=0, atol=1e-6)
    assert learner.features.shape[1:] == (40, 50)
    assert learner.predict(data.test).shape == (len(data.test), 3)


def test_only_training_clips_are_used_if_configured(root: Path) -> None:
    experiment = experiment_of(root, "training.normalise_over=train")
    data, store = load_features(experiment)
    assert isinstance(data, SceneData)
    seen = store.features[data.train][:, :, :50].astype(np.float64)

    mean, deviation = normalisation(experiment, data, store.features)

    np.testing.assert_allclose(mean, seen.mean(axis=(0, 2)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(deviation, seen.std(axis=(0, 2)), rtol=0, atol=1e-6)


def test_the_network_sees_what_it_saw_before_there_was_one_frame_more(root: Path) -> None:
    import torch

    experiment = experiment_of(root)
    data, store = load_features(experiment)
    from dcase_sweep.config import build_front_end

    front_end = build_front_end(experiment)
    samples, _ = soundfile.read(data.root / data.filenames[0], dtype="float32")

    alone = front_end(torch.from_numpy(samples)[None])[0].numpy()

    assert store.features.shape[1:] == front_end.stored_shape == (40, 51)
    assert np.array_equal(network_frames(experiment, store.features)[0], alone)


def test_the_statistics_of_stored_features_are_computed_once_for_the_same_recordings(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_of(root)
    data, store = load_features(experiment)
    assert isinstance(data, SceneData)
    first = normalisation(experiment, data, store.features)
    first[0][:] = 0  # what a caller does with them does not reach the next one
    monkeypatch.setattr(module, "band_statistics", None)

    second = normalisation(experiment, data, store.features)

    assert second[0].any()
    np.testing.assert_array_equal(second[1], first[1])
    with pytest.raises(TypeError):  # others are computed
        normalisation(experiment, replace(data, train=data.train[1:]), store.features)
    with pytest.raises(TypeError):
        normalisation(experiment, data, np.array(store.features))
