"""Which of Hydra's launchers a sweep was given."""

from omegaconf import DictConfig, OmegaConf

#: Hydra loads its plugins once more for itself, so that no class of ours is one of its launchers' classes.
_BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def is_basic(config: DictConfig) -> bool:
    """Whether jobs run in this process, one after the other, as Hydra does where nothing else is asked for."""
    return bool(OmegaConf.select(config, "hydra.launcher._target_", default=_BASIC) == _BASIC)
