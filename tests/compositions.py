"""Configurations that are composed once: Hydra composes the forty files of the same few choices for each command."""

from collections.abc import Callable, Hashable
from copy import deepcopy
from typing import Any

from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.initialize import initialize_config_dir
from hydra.types import RunMode
from omegaconf import DictConfig

from dcase_sweep.config.folders import conf_folder
from dcase_sweep.sweep.copies import CopiedConfig

#: What the list of files adds to the overrides.
_NOTED = ("override_choices", "override_metadata", "known_choices", "known_choices_per_group", "deletions")
#: The files of experiments, of which a project may have its own.
_EXPERIMENTS = "experiment/"
_CONF = str(conf_folder())
#: Choices that many commands begin with.
_FREQUENT = (
    (),
    ("data=tau2020",),
    ("data=tau2020", "hydra/sweeper=optuna"),
    ("data=desed", "model=crnn_meanteacher"),
    ("task=1a", "model=baseline_cnn"),
    ("task='4'", "model=crnn_meanteacher"),
    ("hydra/sweeper=optuna",),
)

_list: Callable[..., Any] = defaults_list._create_defaults_list
_merge: Callable[..., Any] = ConfigLoaderImpl._compose_config_from_defaults_list
_listed: dict[Hashable, tuple[list[ResultDefault], Any, dict[str, Any]]] = {}
_merged: dict[Hashable, CopiedConfig] = {}


def compose_once() -> None:
    """Let Hydra list and merge the files of each choice of this project's groups once in this process and its forks.

    The values of a command line are applied to a copy. Where a project has files of its own, all is composed anew.
    """
    defaults_list._create_defaults_list = _list_once
    ConfigLoaderImpl._compose_config_from_defaults_list = _merge_once  # type: ignore[method-assign]


def compose_before() -> None:
    """Compose what many commands begin with, in the process from which they are forked."""
    with initialize_config_dir(_CONF, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        for choices in _FREQUENT:
            for mode in RunMode:
                loader.load_configuration("config", [*choices], run_mode=mode)
    Singleton._instances.pop(Plugins, None)  # each command looks for its own plugins


def _list_once(repo: Any, config_name: str | None, overrides: Any, **how: bool) -> tuple[list[ResultDefault], Any]:
    sources = _identify(repo)
    if sources is None:
        return _list(repo, config_name, overrides, **how)  # type: ignore[no-any-return]
    choices = sorted(overrides.override_choices.items())
    chosen = (choices, overrides.append_group_defaults, overrides.deletions)
    key = (sources, config_name, *how.items(), repr(chosen))
    if key not in _listed:
        found, tree = _list(repo, config_name, overrides, **how)
        if any(str(each.config_path).startswith(_EXPERIMENTS) for each in found):
            return found, tree
        _listed[key] = found, tree, deepcopy({name: getattr(overrides, name) for name in _NOTED})
    found, tree, noted = _listed[key]
    for name, value in deepcopy(noted).items():
        setattr(overrides, name, value)
    return [*found], tree


def _merge_once(loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: Any) -> DictConfig:
    sources = _identify(repo)
    if sources is None or any(str(each.config_path).startswith(_EXPERIMENTS) for each in defaults):
        return _merge(loader, defaults, repo)  # type: ignore[no-any-return]
    key = (sources, repr(defaults))
    if key not in _merged:
        _merged[key] = CopiedConfig(_merge(loader, defaults, repo))
    return _merged[key].copy()


def _identify(repo: Any) -> Hashable | None:
    """The places that files come from; None if one of them may change while tests run."""
    places = [(source.scheme(), source.path) for source in repo.get_sources()]
    is_ours = all(
        place == _CONF if scheme == "file" else scheme == "structured" or place.startswith(("hydra", "dcase_sweep"))
        for scheme, place in places
    )
    return tuple(places) if is_ours else None
