"""Files in which Hydra and its launchers store jobs, and the secrets in them."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.launchers import is_batch_system
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.secrets import mask_values, masked_yaml

log = logging.getLogger(__name__)


def mask_saved_configurations(settings: Any, composed: DictConfig) -> None:
    """Mask the secrets in the configurations that Hydra has saved for a job, because it saves overrides as typed.

    Args:
        settings: Hydra's settings of the job.
        composed: the configuration of the job.
    """
    if settings.output_subdir is None:
        return
    parts = (composed, settings)
    if all(mask_values(plain) == plain for plain in (OmegaConf.to_container(part, resolve=False) for part in parts)):
        return
    for path in (Path(settings.runtime.output_dir) / settings.output_subdir).glob("*.yaml"):
        write_text(path, masked_yaml(OmegaConf.load(path)))


def protect_stored_jobs(config: DictConfig, folder: Path) -> None:
    """Let nobody else read the jobs that submitit stores, if they hold a secret, and say how to keep it out of them.

    Args:
        config: the composed sweep.
        folder: the folder of the sweep.
    """
    if not is_batch_system(config):
        return
    keys = sorted(set(_find_secrets(OmegaConf.to_container(config, resolve=False))))
    if not keys:
        return
    stored = folder / ".submitit"
    stored.mkdir(parents=True, exist_ok=True)
    os.chmod(stored, 0o700)
    log.warning(
        f"note      submitit stores its jobs in {stored}, with what is secret in {', '.join(keys)}; only you "
        "can read it. OPTUNA_STORAGE, MLFLOW_TRACKING_URI or a password file keep it out of there"
    )


def _find_secrets(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys whose values hold a secret. The overrides, which say the same again, are left out."""
    if prefix == "hydra.overrides":
        return
    if not isinstance(value, Mapping):
        if mask_values({prefix: value}) != {prefix: value}:
            yield prefix
        return
    for key, each in value.items():
        yield from _find_secrets(each, f"{prefix}.{key}" if prefix else str(key))
