"""What the tests of configurations share."""

from collections.abc import Iterator

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir

from dcase_sweep.config.compose import register_experiments
from dcase_sweep.config.folders import conf_folder


@pytest.fixture
def composes() -> Iterator[None]:
    """Context in which ``hydra.compose`` finds the files of ``conf``."""
    register_experiments()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield
