"""Metrics that can be limited before training."""

from pathlib import Path

import pytest

from dcase_sweep.application.limits import measure
from dcase_sweep.config.compose import compose_experiments


def test_activation_memory_can_be_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (composed,) = compose_experiments(["model=cnn5"])

    found = measure(composed.experiment, 10, ["complexity/peak_activation_kib_8bit", "complexity/mmac_per_clip"])

    assert found["complexity/peak_activation_kib_8bit"] == (16 + 32) * 40 * 500 / 1024
    assert round(found["complexity/mmac_per_clip"]) == 562
