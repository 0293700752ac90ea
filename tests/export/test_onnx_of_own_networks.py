"""ONNX files of networks of one's own: shared layers, numbers of clips, operations that ONNX lacks."""

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dcase_sweep.export.network import ScoringNetwork
from dcase_sweep.export.onnx import KINDS, OnnxConverter
from dcase_sweep.export.runtimes import OnnxRuntime
from dcase_sweep.utils.errors import UserError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

MELS, FRAMES = 6, 10
CLIPS = np.random.default_rng(0).normal(size=(12, MELS, FRAMES)).astype(np.float32)


class Shared(nn.Module):
    """A convolution and its normalisation, called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3, padding="same"), nn.BatchNorm2d(2)
        self.head = nn.Linear(2, 3)

    def forward(self, features: Tensor) -> Tensor:
        maps = torch.stack([features, -features], 1)
        for _ in range(3):
            maps = self.norm(self.conv(maps)).relu()
        scores: Tensor = self.head(maps.mean((2, 3)))
        return scores


class Token(nn.Module):
    """A transformer's token, expanded to the number of clips; ``len`` is no part of a traced graph."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.head = nn.Parameter(torch.ones(1, 1, MELS)), nn.Linear(MELS, 3)

    def forward(self, features: Tensor) -> Tensor:
        tokens = torch.cat([self.token.expand(len(features), -1, -1), features.transpose(1, 2)], 1)
        scores: Tensor = self.head(tokens.mean(1))
        return scores


class Unknown(nn.Module):
    """A bilinear head, which ONNX lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Bilinear(MELS, MELS, 3)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(features.mean(2), features.amax(2))
        return scores


def converter(make: Callable[[], nn.Module], metadata: dict[str, str] | None = None) -> OnnxConverter:
    def build() -> ScoringNetwork:
        torch.manual_seed(3)
        return ScoringNetwork(make(), torch.zeros(MELS, 1), torch.ones(MELS, 1)).eval()

    return OnnxConverter(build, shape=(MELS, FRAMES), metadata=metadata or {})


def expected(make: Callable[[], nn.Module]) -> np.ndarray:
    torch.manual_seed(3)
    with torch.no_grad():
        return torch.softmax(make().eval()(torch.from_numpy(CLIPS)), 1).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_is_called_several_times_is_quantised(kind: str) -> None:
    runtime = OnnxRuntime(converter(Shared).convert(kind, CLIPS))

    np.testing.assert_allclose(np.stack([runtime(clip) for clip in CLIPS]), expected(Shared), atol=0.02)


def test_a_network_that_fixes_the_number_of_clips_gives_files_for_one(caplog: pytest.LogCaptureFixture) -> None:
    made = converter(Token, {"input": "features [batch, mel, frame, 1]", "run": "[batch, 1]"})

    contents = {kind: made.convert(kind, CLIPS) for kind in KINDS}

    assert not made.takes_batches
    assert "the files read one clip at a time" in caplog.text
    for content in contents.values():
        runtime = OnnxRuntime(content)
        assert runtime.signature["input"]["shape"] == [1, MELS, FRAMES, 1]
        assert runtime.metadata == {"input": "features [1, mel, frame, 1]", "run": "[batch, 1]"}
        np.testing.assert_allclose(np.stack([runtime(clip) for clip in CLIPS]), expected(Token), atol=0.02)


def test_an_operation_that_onnx_lacks_is_named_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"float32.onnx: the network cannot be converted \(.*aten::bilinear") as caught:
        converter(Unknown).convert("float32", CLIPS)

    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


class PreNorm(nn.Module):
    """A layer of a transformer that normalises first; ONNX Runtime 1.31 crashes on it in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(MELS, 2, 16, batch_first=True, norm_first=True)
        self.head = nn.Linear(MELS, 3)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layer(features.transpose(1, 2)).mean(1))
        return scores


@pytest.mark.parametrize("kind", ["float32", "dynamic", "int8"])
def test_a_transformer_is_converted(kind: str) -> None:
    runtime = OnnxRuntime(converter(PreNorm).convert(kind, CLIPS))

    np.testing.assert_allclose(np.stack([runtime(clip) for clip in CLIPS]), expected(PreNorm), atol=0.05)


def test_a_file_on_which_the_runtime_crashes_does_not_end_the_program() -> None:
    with contextlib.suppress(UserError):  # a later version of the runtime may not crash
        OnnxRuntime(converter(PreNorm).convert("float16", CLIPS))


@pytest.mark.parametrize(("ends", "reason"), [("os.abort()", "ONNX Runtime crashes"), ("raise OSError('odd')", "odd")])
def test_a_file_that_the_runtime_cannot_use_is_left_out(
    ends: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcase_sweep.export.onnx._TRIAL", f"import os\n{ends}")

    for kind in KINDS[:2]:
        with pytest.raises(UserError, match=rf"{kind}.onnx: the network cannot be converted \(.*{reason}"):
            converter(Shared).convert(kind, CLIPS)
