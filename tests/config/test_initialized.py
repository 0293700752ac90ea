"""Compositions of this package within another application of Hydra, such as the tests of a project."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra

import dcase_sweep
from dcase_sweep.utils.errors import UserError


@pytest.mark.parametrize("overrides", [["model=cnn4"], ["model=cnn6"], ["model.unit=3"]])
def test_the_caller_keeps_what_it_has_initialized(overrides: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("answer: 42\n")
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        try:
            dcase_sweep.compose(overrides)
        except UserError:
            assert overrides != ["model=cnn4"]

        assert compose("mine").answer == 42
        assert str(version.getbase()) == "1.2"
    assert not GlobalHydra.instance().is_initialized()
