"""Files of this machine that jobs on other machines would use."""

import logging

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.launchers import FUSED, SUBMITIT, is_basic

log = logging.getLogger(__name__)

#: Launchers whose jobs stay on this machine, by what ``hydra.launcher._target_`` begins with.
_LOCAL = (
    "hydra_plugins.hydra_joblib_launcher.",
    FUSED,
    f"{SUBMITIT}.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_multiprocessing_launcher.",
)


def leaves_machine(config: DictConfig) -> bool:
    """Whether the launcher of a sweep may start jobs on other machines."""
    target = str(OmegaConf.select(config, "hydra.launcher._target_", default=""))
    return not is_basic(config) and not target.startswith(_LOCAL)


def warn_about_file(config: DictConfig, key: str, file: str, remedy: str) -> None:
    """Warn if a launcher starts jobs on other machines and they are to write to one database file.

    Args:
        config: the composed sweep.
        key: the key that names the file.
        file: the file, or its address.
        remedy: what to use instead.
    """
    if not leaves_machine(config):
        return
    target = str(OmegaConf.select(config, "hydra.launcher._target_")).rpartition(".")[2]
    log.warning(
        f"note      {key}={file}: a file, and {target} starts jobs on other machines: those may not see it, and locks "
        f"of files do not hold on every shared disk, so that it can be damaged; use {remedy}"
    )
