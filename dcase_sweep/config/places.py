"""Folders that are written to: none that belong to the operating system."""

import os
from pathlib import Path

from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.errors import UserError

#: Nothing is written into these or below them ...
_SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys"),
    *("/usr/bin", "/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/usr/share"),
    *("/System", "/Library", "/Windows"),
)
#: ... nor directly into these, which hold the folders of others.
_SHARED = ("/", "/home", "/media", "/mnt", "/opt", "/run", "/srv", "/tmp", "/usr", "/usr/local", "/var", "/Users")
#: Memory as a disk is for everyone.
_ALLOWED = ("/dev/shm",)


def check_written(key: str, value: str | Path) -> None:
    """Refuse a folder of the operating system as a place to write to.

    Args:
        key: of the configuration, for the message.
        value: the folder; relative ones are within the working folder.

    Raises:
        UserError: in one line with the key.
    """
    path = Path(os.path.realpath(Path(value).expanduser()))  # Path.resolve() fails on a link to itself
    if any(path.is_relative_to(each) and str(path) != each for each in _ALLOWED):
        return
    system = next((each for each in _SYSTEM if path.is_relative_to(each)), None)
    if system is not None or str(path) in _SHARED:
        raise UserError(
            f"{key}={value}: {system or path} is a folder of the operating system; expected a folder of your own"
        )


def check_places(experiment: Experiment) -> None:
    """Refuse an experiment that would write into a folder of the operating system.

    Raises:
        UserError: with the first such key.
    """
    check_written("store.root", experiment.store.root)
    if not experiment.tracking.uri:
        check_written("tracking.folder", experiment.tracking.folder)
    elif experiment.tracking.uri.startswith("sqlite:///"):
        database = experiment.tracking.uri.removeprefix("sqlite:///").partition("?")[0]
        check_written("tracking.uri", Path(database).parent)
    data = experiment.data
    if data._target_.startswith("dcase_sweep.demo.") and isinstance(data.root, str):
        check_written("data.root", data.root)
