"""Workers that join a search from another machine, by what the study itself records of its command.

The record holds the overrides of the command and its folders of configuration files; passwords are masked, and the
storage is left out. It is read as `dcase_sweep.config.resumed` reads the configuration in the folder of a sweep: it
does not say which code is imported, what is read, or where anything is written.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep import __version__
from dcase_sweep.sweep.optuna.attributes import COMMAND, RECORD
from dcase_sweep.utils.secrets import mask_word

if TYPE_CHECKING:
    import optuna

#: Overrides that belong to a command or a machine, not to the search.
_OWN = (
    *("hydra.sweeper.storage", "hydra.sweeper.time_limit", "hydra.sweep.", "hydra.launcher.", "hydra/launcher"),
    *("hydra.run.", "hydra.mode"),
)
_RECORD_ID = re.compile(r"[\w\-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Joined:
    """A search that this process joins.

    Attributes:
        study: the name of its study.
        command: the command line that joins it, for messages.
        report: the command line that writes its results on this machine when it is complete, likewise.
    """

    study: str
    command: str
    report: str


_joined: ContextVar[Joined | None] = ContextVar("joined", default=None)


@contextmanager
def joining(joined: Joined) -> Iterator[None]:
    """Context in which a sweeper works on an existing study alone: it creates no study, no record and no results."""
    token = _joined.set(joined)
    try:
        yield
    finally:
        _joined.reset(token)


def find_joined() -> Joined | None:
    """Return the search that this process joins; None if the command is the search's own."""
    return _joined.get()


def store_command(study: "optuna.Study", composed: DictConfig, application: str, settings: Mapping[str, Any]) -> None:
    """Store in a study what another machine needs to join it.

    Args:
        study: the study.
        composed: the composed sweep.
        application: the name of the class of its application.
        settings: settings of the search that its status and its workers need: ``n_trials``, ``grace_period``.
    """
    command = {"version": __version__, "application": application, **settings, "hydra": _describe(composed)}
    if study.user_attrs.get(COMMAND) != command:
        study.set_user_attr(COMMAND, command)


def _describe(composed: DictConfig) -> dict[str, Any]:
    """Return the overrides of a sweep and its folders of configuration files, in the places of Hydra's settings."""
    overrides: Any = OmegaConf.to_container(composed.hydra.overrides, resolve=False)
    sources: Any = OmegaConf.to_container(composed.hydra.runtime.config_sources, resolve=False)
    kept = {
        kind: [mask_word(word) for word in overrides[kind] if not word.lstrip("+~").startswith(_OWN)]
        for kind in ("hydra", "task")
    }
    own = [each for each in sources if each["provider"] == "command-line" or "searchpath" in each["provider"]]
    return {"overrides": kept, "runtime": {"config_sources": own}}


def get_record_id(study: "optuna.Study") -> str:
    """Return the ID of the search's record, which is part of an override; empty if it is not an ID."""
    found = study.user_attrs.get(RECORD)
    return found if isinstance(found, str) and _RECORD_ID.fullmatch(found) else ""
