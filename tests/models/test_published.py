"""Loading the weights of the published task 4 baseline."""

import pytest
import torch
from torch import Tensor

from dcase_sweep.models.crnn import CRNN
from dcase_sweep.models.published import load_published, published_name
from tests.models.published_crnn import PublishedCRNN


def published_checkpoint() -> tuple[dict[str, Tensor], PublishedCRNN, PublishedCRNN]:
    """A state dictionary as the recipe's Lightning module saves it, and the student and the teacher in it."""
    torch.manual_seed(3)
    student, teacher = PublishedCRNN().eval(), PublishedCRNN().eval()
    for network in (student, teacher):
        for name, tensor in network.state_dict().items():
            if "running_var" in name:
                tensor.uniform_(0.5, 2)
            elif "running_mean" in name or tensor.ndim == 1:
                tensor.normal_(0, 0.1)
    state = {"mel_spec.spectrogram.window": torch.ones(2048), "mel_spec.mel_scale.fb": torch.ones(1025, 128)}
    state |= {f"sed_student.{name}": tensor for name, tensor in student.state_dict().items()}
    state |= {f"sed_teacher.{name}": tensor for name, tensor in teacher.state_dict().items()}
    return state, student, teacher


@pytest.mark.parametrize("which", ["student", "teacher"])
def test_gives_the_published_networks_predictions(which: str) -> None:
    state, student, teacher = published_checkpoint()
    clips = torch.rand(2, 128, 626) * 2 - 1
    network = CRNN().eval()

    network.load_state_dict(load_published(state, which))

    with torch.no_grad():
        strong, weak = (student if which == "student" else teacher)(clips)
        predictions = network(clips)
    assert strong.std() > 0.01
    torch.testing.assert_close(predictions.strong, strong, rtol=0, atol=1e-5)
    torch.testing.assert_close(predictions.weak, weak, rtol=0, atol=1e-5)


def test_every_key_and_shape_has_its_place() -> None:
    state, student, _ = published_checkpoint()

    loaded = load_published(state)

    expected = student.state_dict()
    assert sorted(published_name(name) for name in loaded) == sorted(expected)
    for name, tensor in loaded.items():
        assert torch.equal(tensor, expected[published_name(name)]), name
    assert published_name("blocks.3.gate.weight") == "cnn.cnn.glu3.linear.weight"
    assert published_name("recurrent.weight_hh_l1_reverse") == "rnn.rnn.weight_hh_l1_reverse"
    assert published_name("attention_head.bias") == "dense_softmax.bias"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda state: state.pop("sed_student.dense.bias"),
            "sed_student.dense.bias: missing in the state dictionary; expected the student of the DCASE 2021 task 4 "
            "baseline's checkpoint",
        ),
        (
            lambda state: state.update({"sed_student.cat_tf.weight": torch.ones(1)}),
            "sed_student.cat_tf.weight: unexpected in the state dictionary; expected the 83 keys of a network of "
            "this size",
        ),
        (
            lambda state: state.update({"sed_student.cnn.cnn.conv2.weight": torch.ones(64, 32, 5, 5)}),
            "sed_student.cnn.cnn.conv2.weight: found shape [64, 32, 5, 5]; expected [64, 32, 3, 3]",
        ),
        (
            lambda state: state.update({"net.a": torch.ones(1), "net.b": torch.ones(1)}),
            "net.a and 1 more: unexpected in the state dictionary; expected only sed_student.*, sed_teacher.* and "
            "mel_spec.*",
        ),
    ],
)
def test_rejects_what_is_not_the_baseline_in_one_line(change, line: str) -> None:
    state, _, _ = published_checkpoint()
    change(state)

    with pytest.raises(ValueError, match="expected") as problem:
        load_published(state)

    assert str(problem.value) == line


def test_a_network_of_another_size_takes_weights_of_its_size() -> None:
    small = PublishedCRNN(filters=(4, 8), pools=((2, 4), (1, 4)), units=6, classes=3).eval()
    state = {f"sed_teacher.{name}": tensor for name, tensor in small.state_dict().items()}
    network = CRNN(input_shape=(16, 20), classes=3, filters=(4, 8), pools=((4, 2), (4, 1)), recurrent_units=6).eval()

    network.load_state_dict(load_published(state, "teacher", network=network))

    clips = torch.randn(2, 16, 20)
    torch.testing.assert_close(network(clips).strong, small(clips)[0])
