"""Composition of experiments from command-line arguments, without running them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.arguments import check_overrides, check_supported, explain_setup
from dcase_sweep.config.checks import check
from dcase_sweep.config.choices import read_choices
from dcase_sweep.config.command_line import quote_choices, repeat_command, with_model_of_task
from dcase_sweep.config.files import read_config, register_config_source, restored_config_source
from dcase_sweep.config.folders import conf_folder, experiment_folders
from dcase_sweep.config.hints import explain
from dcase_sweep.config.initialized import initialized
from dcase_sweep.config.path_words import quote_paths, typed_word
from dcase_sweep.config.renamed import rename_overrides
from dcase_sweep.config.resumed import find_sweep, with_words_of_folder
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.overrides import combinations
from dcase_sweep.utils.secrets import masked_yaml

#: The message if the defaults lists contain a cycle.
ENDLESS = "the configuration refers to itself without end; see the defaults lists under --config-dir and experiments/"


def register_experiments() -> None:
    """Make every file of the experiment folders a choice of ``+experiment``. Invalid files are reported and skipped.

    After this call every configuration file is checked when it is read.
    """
    register_config_source()
    store = ConfigStore.instance()
    for folder in experiment_folders():
        for path in sorted(folder.glob("*.yaml")):
            try:
                node = read_config(path)
            except UserError as error:
                print(f"warning: {error}; skipped", file=sys.stderr)
                continue
            store.store(group="experiment", name=path.stem, node=node, package="_global_", provider=str(folder))


def remove_namesakes() -> None:
    """Remove the configurations of other plugins that have the names of ours, such as those of hydra-optuna-sweeper.

    Hydra would merge our files into them, which have other keys.
    """
    conf = conf_folder()
    for path in sorted((conf / "hydra").rglob("*.yaml")):
        node: Any = ConfigStore.instance().repo
        for name in path.relative_to(conf).parent.parts:
            node = node.get(name, {})
        node.pop(path.name, None)


@contextmanager
def shared_config_store() -> Iterator[None]:
    """Let Hydra list the choices of all groups from its global store of configurations instead of copies of it.

    For ``--help`` Hydra copies the store once per group, which takes seconds. It also copies what it loads from the
    store, so the store cannot be changed.
    """
    ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del ConfigStore.__deepcopy__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed experiment."""

    name: str
    experiment: Experiment
    #: Choices of the groups: model → cnn5.
    choices: dict[str, str] = field(default_factory=dict)
    #: The composed configuration, with passwords masked.
    yaml: str = ""
    #: The command line that runs it.
    command: str = "python -m dcase_sweep"
    #: Its overrides, with those of the run that is continued.
    overrides: tuple[str, ...] = ()


def compose_experiments(
    arguments: Sequence[str],
    config_dir: str | Path | None = None,
    *,
    is_sweep: bool = False,
    needs_network: bool = True,
) -> list[Composed]:
    """Compose and validate the experiments of some overrides, one for each combination of their values.

    Args:
        arguments: overrides in Hydra's grammar.
        config_dir: a folder of the user's configuration files, as for ``--config-dir``.
        is_sweep: whether a comma separates several paths, as with ``-m``; it belongs to the path otherwise.
        needs_network: whether the network is built to check that it fits the data; `inspect` uses none.

    Raises:
        UserError: in one line, as from the command line.
    """
    arguments = quote_paths(arguments, is_sweep=is_sweep)
    sweep = find_sweep(arguments)
    if sweep is not None:
        raise UserError(
            f"resume={sweep}: the folder of a sweep, not of a run; python -m dcase_sweep {typed_word('resume', sweep)} "
            "continues it"
        )
    path = SearchPath(None if config_dir is None else str(config_dir), SearchPath.of_arguments(arguments).more)
    path.check()
    arguments = with_words_of_folder(arguments, path)
    check_supported(arguments)
    words = [word for word in rename_overrides(arguments) if not word.lstrip("+").startswith("hydra.searchpath=")]
    understood = with_model_of_task(quote_choices(words, path), path)
    check_overrides(understood, path)
    try:
        with restored_config_source():
            register_experiments()
            with initialized():
                return [_composed(job, path, needs_network) for job in combinations(path.make_parser(), understood)]
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, [*path.overrides, *understood])) from None
    except RecursionError:
        raise UserError(ENDLESS) from None
    except Exception as error:
        line = explain_setup(error)
        if line is None:
            raise
        raise UserError(line) from None


def _composed(overrides: Sequence[str], path: SearchPath, needs_network: bool) -> Composed:
    completed = with_model_of_task(overrides, path)
    config = compose("config", [*path.overrides, *completed], return_hydra_config=True)
    checked = check(config, needs_network=needs_network)
    rest = [override for override in overrides if override.partition("=")[0] not in ("model", "task")]
    name = " ".join([str(config.hydra.runtime.choices["model"]), *(each.lstrip("+") for each in rest)])
    choices = read_choices(config.hydra.runtime.choices, config)
    shown = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    command = repeat_command(config.hydra, [word for word in overrides if not word.startswith("resume=")])
    return Composed(name, checked, choices, masked_yaml(shown), command, tuple(overrides))
