"""Networks in PyTorch and Keras: same size, same weights, and same predictions for real recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from dcase_sweep.audio.log_mel import LogMel
from dcase_sweep.audio.reading import read_waveform
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.models.cnn import CNN
from dcase_sweep.training.keras.library import is_installed
from dcase_sweep.training.keras.network import cnn
from dcase_sweep.training.keras.weights import check_twin, from_keras, to_keras
from dcase_sweep.utils.errors import UserError

pytestmark = pytest.mark.skipif(not is_installed(), reason="TensorFlow is not installed")

PUBLISHED = [("baseline_cnn", 46_246), ("cnn4", 47_846), ("cnn5", 191_030)]
#: A map that is no square when it is flattened, a block beyond the list, one without pooling.
SMALL: dict[str, Any] = {
    "input_shape": (12, 21),
    "classes": 3,
    "blocks": [
        {"filters": 4, "kernel": [3, 5], "pool": [2, 3], "dropout": 0.1},
        {"filters": 5, "kernel": [5, 3], "pool": [2, 1], "dropout": 0.0},
    ],
    "depth": 3,
    "units": 6,
}


def settings(name: str) -> dict[str, Any]:
    """The arguments of a file in ``conf/model`` for task 1A's maps."""
    text = (conf_folder() / "model" / f"{name}.yaml").read_text()
    found = yaml.safe_load(text.replace('"${model.dropout}"', "0.3"))
    del found["_target_"]
    return {**found, "input_shape": (40, 500), "classes": 10}


def disturbed(network: nn.Module) -> dict[str, Tensor]:
    """Return weights like those of a training, with non-trivial running statistics and different outputs."""
    rng = torch.Generator().manual_seed(3)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for name, value in state.items():
        if value.is_floating_point():
            grown = value * (6 if name.startswith("head") else 1)
            state[name] = grown + 0.2 * torch.rand(value.shape, generator=rng)
    network.load_state_dict(state)
    return state


@pytest.fixture(scope="module")
def clips(shared: Path) -> Tensor:
    """Normalised features of real recordings ``[clip, mel, frame]``."""
    real = [shared / "data/tau2020/metro_station-paris.wav", *sorted((shared / "data/esc10/audio").glob("*.ogg"))[:3]]
    waveforms = [read_waveform(path, sample_rate=44_100, seconds=10.0).samples for path in real if path.is_file()]
    if not waveforms:
        pytest.skip("no real recordings in ../shared/data")
    recipe = yaml.safe_load((conf_folder() / "front_end/log_mel.yaml").read_text())
    del recipe["_target_"]
    recipe |= {"sample_rate": 44_100, "seconds": 10.0, "floor": float(recipe["floor"])}
    front_end = LogMel(**recipe)
    features = front_end(torch.from_numpy(np.stack(waveforms)))
    mean, deviation = features.mean(dim=(0, 2), keepdim=True), features.std(dim=(0, 2), keepdim=True)
    return (features - mean) / deviation


@pytest.mark.parametrize(("name", "count"), PUBLISHED)
def test_keras_networks_have_the_same_size_and_outputs(name: str, count: int, clips: Tensor) -> None:
    network, twin = CNN(**settings(name)).eval(), cnn(**settings(name))
    to_keras(disturbed(network), twin)

    with torch.inference_mode():
        expected = torch.softmax(network(clips), dim=1).numpy()
    found = np.asarray(twin(clips.numpy()[..., None], training=False))

    assert twin.count_params() == count
    assert expected.max() > 0.3  # an opinion, that is
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_weights_come_back_as_they_went() -> None:
    network, twin = CNN(**SMALL), cnn(**SMALL)
    state = disturbed(network)

    to_keras(state, twin)
    back = from_keras(twin)

    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())
    network.load_state_dict(back)


def test_weights_from_keras_make_the_same_network() -> None:
    network, twin, other = CNN(**SMALL).eval(), cnn(**SMALL, seed=1), cnn(**SMALL, seed=2)
    features = np.random.default_rng(0).normal(size=(4, 12, 21)).astype(np.float32)

    network.load_state_dict(from_keras(twin))
    to_keras(network.state_dict(), other)

    expected = np.asarray(twin(features[..., None]))
    assert all((a == b).all() for a, b in zip(twin.get_weights(), other.get_weights(), strict=True) if a.ndim > 1)
    with torch.inference_mode():
        found = torch.softmax(network(torch.from_numpy(features)), dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_seed_decides_the_initial_weights() -> None:
    first, again, other = (from_keras(cnn(**{**SMALL, "depth": 4}, seed=seed)) for seed in (7, 7, 8))

    key = "convolutions.0.weight"
    assert torch.equal(first[key], again[key])
    assert not torch.equal(first[key], other[key])
    assert not torch.equal(first["convolutions.9.weight"], first["convolutions.12.weight"])


def test_initialisation_is_that_of_the_recipe() -> None:
    state = from_keras(cnn(**settings("cnn5")))

    limit = (6 / (16 * 49 + 32 * 49)) ** 0.5  # Glorot: sqrt(6 / (fan in + fan out))
    assert 0.95 * limit < state["convolutions.3.weight"].abs().max() <= limit
    assert state["head.1.weight"].abs().max() <= 0.05
    assert state["head.1.weight"].std().item() == pytest.approx(0.1 / 12**0.5, rel=0.05)
    assert not state["convolutions.3.bias"].any()


def test_a_mixed_precision_keeps_its_weights_in_float32() -> None:
    state = from_keras(cnn(**SMALL, seed=1, policy="mixed_bfloat16"))

    assert torch.equal(state["head.1.weight"], from_keras(cnn(**SMALL, seed=1))["head.1.weight"])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda state: state.pop("head.1.bias"), "weights: no head.1.bias; expected those of cnn with "),
        (lambda state: state.update({"gate.weight": torch.zeros(1)}), "weights: gate.weight has no place in cnn"),
        (
            lambda state: state.update({"head.1.weight": torch.zeros(6, 9)}),
            r"weights: head.1.weight is \[6, 9\]; expected \[6, 105\] for cnn",
        ),
    ],
)
def test_weights_of_another_network_are_rejected(damage: Any, says: str) -> None:
    twin = cnn(**SMALL)
    before = twin.get_weights()
    state = disturbed(CNN(**SMALL))
    damage(state)

    with pytest.raises(UserError, match=says):
        to_keras(state, twin)

    assert all((a == b).all() for a, b in zip(before, twin.get_weights(), strict=True))


class Own(nn.Module):
    """A network of one's own: no bias before the normalisation, and an average of the map."""

    def __init__(self, bins: int = 3) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3, padding="same", bias=False), nn.BatchNorm2d(2, eps=1e-3)
        self.dense = nn.Linear(2, bins)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.dense(self.norm(self.conv(features.unsqueeze(1))).relu().mean((2, 3)))
        return scores


def own(pooled: str = "GlobalAveragePooling2D") -> Any:
    import keras

    layers = [
        keras.layers.Input((6, 8, 1)),
        keras.layers.Conv2D(2, 3, padding="same", use_bias=False, name="conv"),
        keras.layers.BatchNormalization(epsilon=1e-3, name="norm"),
        keras.layers.ReLU(),
        getattr(keras.layers, pooled)(),
        keras.layers.Dense(3, name="dense"),
        keras.layers.Softmax(),
    ]
    return keras.Sequential(layers, name="own")


FEATURES = np.random.default_rng(4).normal(size=(4, 6, 8)).astype(np.float32)


def test_a_convolution_without_bias_has_its_place_in_both_libraries() -> None:
    network, twin = Own(), own()
    to_keras(disturbed(network), twin)

    check_twin(network, twin, FEATURES)

    assert network.state_dict().keys() == from_keras(twin).keys()


def test_another_network_as_the_keras_version_is_rejected() -> None:
    with pytest.raises(UserError, match="same network as in PyTorch: with the same weights probabilities differ by"):
        check_twin(Own(), own("GlobalMaxPooling2D"), FEATURES)
    with pytest.raises(UserError, match=r"dense.weight is \[3, 2\], expected \[4, 2\]; expected layers of the same"):
        check_twin(Own(bins=4), own(), FEATURES)
