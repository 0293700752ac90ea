"""Filter banks in blocks, against the whole product in double precision."""

import numpy as np
import pytest
import torch

from dcase_sweep.audio.amplitude_mel import htk_mel_filters
from dcase_sweep.audio.filtering import FilterBank
from dcase_sweep.audio.mel import slaney_mel_filters

BANKS = {
    "slaney": slaney_mel_filters(sample_rate=44_100, n_fft=2048, n_mels=40, f_min=0, f_max=22_050),
    "a band of it": slaney_mel_filters(sample_rate=44_100, n_fft=2048, n_mels=20, f_min=300, f_max=8_000),
    "htk": htk_mel_filters(sample_rate=16_000, n_fft=2048, n_mels=128, f_min=0, f_max=8_000),
    "full": np.random.default_rng(0).random((5, 33), dtype=np.float32),
    "one bin": np.ones((3, 1), dtype=np.float32),
    "nothing": np.zeros((3, 17), dtype=np.float32),
}


@pytest.mark.parametrize("by_numpy", [True, False], ids=["numpy", "torch, as on a gpu"])
@pytest.mark.parametrize("name", BANKS)
def test_blocks_give_the_whole_product(name: str, by_numpy: bool) -> None:
    filters = BANKS[name]
    spectra = torch.randn(2, 7, filters.shape[1], dtype=torch.complex64, generator=torch.Generator().manual_seed(1))

    bank, magnitudes = FilterBank(filters, torch.device("cpu")), torch.empty(spectra.shape)
    bank._on_cpu = by_numpy
    bank.magnitudes(spectra, out=magnitudes)
    mel = bank(magnitudes)

    expected = np.abs(spectra.numpy().astype(complex)) @ filters.T.astype(float)
    assert mel.shape == (2, 7, len(filters))
    np.testing.assert_allclose(mel, expected, rtol=2e-6)


def test_few_products_with_zeros_are_computed() -> None:
    bank = FilterBank(BANKS["slaney"], torch.device("cpu"))

    assert sum(part.weights.size for part in bank._parts) < 0.35 * BANKS["slaney"].size
