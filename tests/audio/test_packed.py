"""Waveforms at 16 bits a sample."""

import numpy as np
import pytest
import torch

from dcase_sweep.audio.packed import pack, unpack


def test_16_bit_recordings_are_kept_exactly() -> None:
    loud = torch.tensor([-32768, 32767, 12, -1, 0]) / 32768
    quiet = torch.tensor([3, -4, 0, 1, 2]) / 32768

    packed = pack(torch.stack([loud, quiet]))

    assert packed.dtype == torch.int16
    assert packed.shape == (2, 7)
    assert torch.equal(unpack(packed), torch.stack([loud, quiet]))


@pytest.mark.parametrize("peak", [1e-6, 3e-3, 0.5, 1.0, 1.3, 9.9])
def test_any_level_is_kept_to_16_bits(peak: float) -> None:
    wave = torch.from_numpy(np.random.default_rng(0).uniform(-peak, peak, (1, 1000)).astype(np.float32))
    wave[0, 0] = peak

    error = (unpack(pack(wave)) - wave).abs().max()

    assert error <= peak / 32768


def test_silence_stays_silence() -> None:
    assert torch.equal(unpack(pack(torch.zeros(2, 10))), torch.zeros(2, 10))
