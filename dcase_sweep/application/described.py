"""How experiments of this package are named, described and repeated as the jobs of a sweep."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.job import BestTrial
from dcase_sweep.utils.overrides import quote

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from dcase_sweep.config import Experiment
    from dcase_sweep.sweep.optuna.space import Space

log = logging.getLogger(__name__)


class DescribedExperiments(Application):
    """The part of `Experiments` that describes: names, spaces, overrides of jobs, and commands that repeat them.

    Args:
        blocks: part of a convolution block → expression, for a search of block-wise parameters.
    """

    def __init__(self, blocks: Mapping[str, str] | None = None) -> None:
        self.blocks = dict(blocks or {})
        self._base: Experiment | None = None

    @property
    def base(self) -> "Experiment":
        """The experiment common to all jobs, available after `begin`."""
        assert self._base is not None, "begin() comes first"
        return self._base

    def describe(self, config: DictConfig) -> dict[str, Any]:
        """Return the part of the configuration that affects results, without locations of files."""
        from dcase_sweep.config import flatten
        from dcase_sweep.training.resume import comparable

        return comparable(flatten(self.base))

    def hash_sources(
        self,
        config: DictConfig,
        varied: Mapping[str, str],
        parser: "OverridesParser",
        compose: Callable[[Sequence[str]], DictConfig],
    ) -> Mapping[str, str]:
        """Hash the source of every component outside this package that a trial may use."""
        from dcase_sweep.application.sources import hash_search_sources

        return hash_search_sources(self.describe(config), varied, parser, compose)

    def name_study(self, config: DictConfig) -> str:
        """Join the names of the search file, the model and the data."""
        choices = config.hydra.runtime.choices
        return "-".join(
            [
                choices.get("search") or "search",
                str(choices.get("model")),
                self.base.data.name or str(choices.get("data")),
            ]
        )

    def locate_storage(self, config: DictConfig) -> str:
        """Return a journal in the folder of the local MLflow store."""
        return os.path.join(self.base.tracking.folder, "optuna.log")

    def choose_threads(self, config: DictConfig, workers: int) -> int | None:
        """Divide the cores among the workers on a CPU, unless the number of threads is configured."""
        from dcase_sweep.utils.cpu import usable_cores

        hardware = self.base.hardware
        if hardware.threads is not None or hardware.accelerator != "cpu":
            return None
        return max(1, usable_cores() // workers)

    def choose_mps(self, config: DictConfig) -> bool | None:
        """Return whether MPS is configured for workers that share a GPU; None on a CPU."""
        hardware = self.base.hardware
        return hardware.mps if hardware.accelerator == "gpu" else None

    def make_space(self, expressions: Mapping[str, str], config: DictConfig, parser: "OverridesParser") -> "Space":
        """Return the space of the varied keys, including the blocks of a network if the search varies them."""
        from dcase_sweep.application.block_space import list_replaced, make_space
        from dcase_sweep.config import build_front_end

        typed = [word.lstrip("+").partition("=")[0] for word in config.hydra.overrides.task]
        for key, part in list_replaced(typed, self.blocks).items():
            log.info(f"note      {key} has no effect: search.blocks.{part} varies it in every block")
        model: Any = OmegaConf.to_container(config.model, resolve=False)
        return make_space(
            expressions,
            self.blocks,
            parser=parser,
            blocks=model.get("blocks") or [],
            depth=model.get("depth"),
            shape=build_front_end(self.base).shape,
        )

    def describe_continuation(self, config: DictConfig, arguments: Sequence[str]) -> str:
        """Return the command that continues a sweep."""
        from dcase_sweep.config.command_line import repeat_command

        return repeat_command(config.hydra, arguments, is_sweep=True)

    def describe_repetition(self, config: DictConfig, best: BestTrial, folder: Path) -> str:
        """Return the command that runs the experiment file of one of the best trials, with all of its seeds."""
        from dcase_sweep.config.command_line import repeat_command

        words = [f"+experiment={best.name}"]
        if best.seeds:
            words = ["-m", *words, f"seed={','.join(map(str, best.seeds))}"]
        return repeat_command(config.hydra, words, more=folder)

    def draws_figures(self, config: DictConfig) -> bool:
        """Whether ``tracking.figures`` allows the figures of a search."""
        return bool(self.base.tracking.figures != "none")

    def describe_best(self, best: BestTrial) -> dict[str, str]:
        """Return an experiment file."""
        from dcase_sweep.application.experiment_file import make_experiment_file

        return {f"experiment/{best.name}.yaml": make_experiment_file(best)}

    def describe_job(self, record_id: str, varying: Sequence[str]) -> list[str]:
        """Return the parent of the job's run, and the keys that vary."""
        return [*_describe_parent(record_id), f"++tracking.varying={list(varying)}"]

    def set_up_process(self, hydra_state: Any) -> None:
        """Register Hydra's state and the configuration groups in a process that a launcher has started."""
        from hydra import version
        from hydra.core.utils import setup_globals

        from dcase_sweep.config.compose import register_experiments

        version.setbase("1.3")
        setup_globals()
        register_experiments()

    def describe_trial(self, study: str, number: int, record_id: str, threads: int | None) -> list[str]:
        """Return the threads of the job, the parent of its run, and its name."""
        lines = [] if threads is None else [f"++hardware.threads={threads}"]
        return [*lines, *_describe_parent(record_id), f"++tracking.run_name={quote(f'{study} #{number}')}"]

    def describe_seed(self, study: str, number: int, seed: int) -> list[str]:
        """Return the seed, and the name and the tag of its run."""
        from dcase_sweep.tracking import TRIAL

        name = quote(f"{study} #{number} seed={seed}")
        return [f"seed={seed}", f"++tracking.run_name={name}", f"++tracking.tags={{{TRIAL}:'{number}'}}"]


def _describe_parent(record_id: str) -> list[str]:
    return [f"++tracking.parent={record_id}"] if record_id else []
