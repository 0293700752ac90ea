"""The folders of the jobs of a grid."""

import copy
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

_KEY = "hydra.sweep.subdir"


class JobFolders:
    """Finds the folder of a job.

    Args:
        context: Hydra's context.
        config: the composed sweep.
        words: all overrides of each job.
    """

    def __init__(self, context: HydraContext, config: DictConfig, words: Sequence[list[str]]) -> None:
        self._parser = OverridesParser.create(config_loader=context.config_loader)
        self._config = copy.deepcopy(config)
        self._words = words

    def locate(self, number: int) -> Path:
        """Return the folder of the job with this number."""
        folder = Path(str(self._config.hydra.sweep.dir))
        given = [word for word in self._words[number] if word.lstrip("+").startswith(f"{_KEY}=")]
        if given:
            return folder / str(self._parser.parse_override(given[-1]).value())
        with open_dict(self._config):
            self._config.hydra.job.num = number
        try:
            return folder / str(OmegaConf.select(self._config, _KEY, default=number))
        except OmegaConfBaseException:  # it depends on what is known in the job only
            return folder / str(number)
