"""One job of a search in this process, as Hydra runs it.

Hydra copies a job's configuration five times, and writes its files by PyYAML's own code: a tenth of a second.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core import utils as hydra_utils
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from dcase_sweep.sweep.job import locate_folder
from dcase_sweep.utils.yaml_text import to_yaml


def run_job(context: HydraContext, task: TaskFunction, config: DictConfig) -> Any:
    """Run a task function with a configuration, in a folder of its own within that of the sweep.

    The folder, its files, the logging and Hydra's settings are those of ``hydra.core.utils.run_job``, which runs jobs
    with callbacks, variables of the environment or a working folder of their own.

    Args:
        context: Hydra's context.
        task: the task function.
        config: the composed configuration of this job, which nothing else uses.

    Returns:
        What the task function returns.

    Raises:
        Exception: what the task function raises.
    """
    if not _is_plain(config):
        return _run_by_hydra(context, task, config)
    singleton = HydraConfig.instance()
    before = singleton.cfg
    singleton.cfg = config  # type: ignore[assignment]
    try:
        OmegaConf.set_readonly(config.hydra, True)
        folder = _choose_folder(config)
        given = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        OmegaConf.set_struct(given, OmegaConf.is_struct(config))
        folder.mkdir(parents=True, exist_ok=True)
        hydra_utils.configure_log(config.hydra.job_logging, config.hydra.verbose)
        if config.hydra.output_subdir is not None:
            _write_files(folder / config.hydra.output_subdir, given, config)
        return task(given)
    finally:
        singleton.cfg = before
        for handler in logging.getLogger().handlers:
            with suppress(OSError, ValueError):  # a closed terminal or file
                handler.flush()


def _run_by_hydra(context: HydraContext, task: TaskFunction, config: DictConfig) -> Any:
    errors: list[Exception] = []

    def run(given: DictConfig) -> Any:
        try:
            return task(given)
        except Exception as error:
            errors.append(error)
            raise

    returned = hydra_utils.run_job(run, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    if errors:  # the property of Hydra's result would also print a line
        raise errors[0]
    return returned.return_value


def _is_plain(config: DictConfig) -> bool:
    """Whether a job has no callbacks, and neither an environment nor a working folder of its own."""
    job = config.hydra.job
    changes_folder = job.chdir or (job.chdir is None and not version.base_at_least("1.2"))
    return not (config.hydra.callbacks or job.env_set or changes_folder)


def _choose_folder(config: DictConfig) -> Path:
    """Return the folder of a job, and set it in its configuration."""
    folder = locate_folder(config)
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = folder
    return Path(folder)


def _write_files(folder: Path, given: DictConfig, config: DictConfig) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    hydra = {"hydra": OmegaConf.to_container(config.hydra, resolve=False, enum_to_str=True)}
    for name, content in (("config", given), ("hydra", hydra), ("overrides", config.hydra.overrides.task)):
        (folder / f"{name}.yaml").write_text(to_yaml(content), encoding="utf-8")
