"""Checks that output folders do not belong to the operating system."""

import os
from pathlib import Path, PurePosixPath

from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.errors import UserError

#: Nothing may be written to these folders or below them ...
_SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys"),
    *("/usr/bin", "/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/usr/share"),
    *("/System", "/Library", "/private/etc", "/Windows", "/Program Files", "/Program Files (x86)"),
)
#: ... or directly to these, which contain other users' folders.
_SHARED = (
    *("/", "/home", "/media", "/mnt", "/opt", "/run", "/srv", "/tmp", "/usr", "/usr/local", "/var"),
    *("/Users", "/private", "/private/tmp", "/private/var"),
)
#: Shared memory, to which everyone may write.
_ALLOWED = ("/dev/shm",)


def check_written(key: str, value: str | Path) -> None:
    """Check that a folder to write to does not belong to the operating system.

    Args:
        key: the configuration key, for the message.
        value: the folder; relative to the working folder.

    Raises:
        UserError: in one line with the key.
    """
    path = Path(os.path.realpath(Path(value).expanduser()))  # Path.resolve() fails on a link to itself
    inner = PurePosixPath("/", *path.parts[1:])  # without the drive of Windows
    if any(inner.is_relative_to(each) and str(inner) != each for each in _ALLOWED):
        return
    system = next((each for each in _SYSTEM if inner.is_relative_to(each)), None)
    if system is not None or str(inner) in _SHARED:
        raise UserError(
            f"{key}={value}: {system or inner} is a folder of the operating system; expected a folder of your own"
        )


def check_places(experiment: Experiment) -> None:
    """Check that an experiment does not write to a folder of the operating system.

    Raises:
        UserError: for the first such key.
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
