"""Validated experiments for tests that need no command line."""

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir

from dcase_sweep.config import Experiment, check
from dcase_sweep.config.folders import conf_folder


def composed(*overrides: str) -> Experiment:
    """Return the experiment of a command line with these overrides."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return check(compose("config", [*overrides]))
