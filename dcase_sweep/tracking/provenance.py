"""Provenance of runs: code, data and user."""

import getpass
import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dcase_sweep.config.sources import hash_sources
from dcase_sweep.config.stored_words import OF_SPEED

_PACKAGE = Path(__file__).resolve().parents[1]
#: Keys that determine locations and speed, but not results.
_ASIDE = (
    *("tracking.", "logger.", "store.", "resume", "data.root", "data.name"),
    *OF_SPEED,
)


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's output in a folder; None if there is none, for example outside a repository."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        found = subprocess.run(command, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.decode("utf-8", "replace").strip() or None


def git_commit(folder: Path) -> str | None:
    """Return the commit of a folder's repository, marked if files have changed; None outside a repository."""
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def commit_tags(working: Path, package: Path = _PACKAGE) -> dict[str, str]:
    """Return the commits of the package's own checkout, and of the working folder's repository if it is another one.

    An installed package may be inside a user's repository, in a virtual environment. Its files are not tracked there,
    so the commit would not describe them.
    """
    is_checkout = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    code, around = git_commit(package) if is_checkout else None, git_commit(working)
    if code is None:
        return {"mlflow.source.git.commit": around} if around else {}
    tags = {"mlflow.source.git.commit": code}
    if around and _git(working, "rev-parse", "--show-toplevel") != _git(package, "rev-parse", "--show-toplevel"):
        tags["dcase_sweep.working_folder.git.commit"] = around
    return tags


def user_name() -> str:
    """Return the name of the user, as far as the system knows it."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # for example in a container whose user has no name
        return "unknown"


@cache
def code_fingerprint() -> str:
    """Hash this package's source files as they are on disk, in a checkout or installed."""
    package = _PACKAGE
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def signature(configuration: Mapping[str, Any], data: str) -> str:
    """Return a key that is equal for two runs with the same configuration, data and code.

    The code is that of this package and of each component of the configuration from outside.

    Args:
        configuration: the flattened configuration.
        data: the fingerprint of the recordings and their labels.
    """
    plain = {key: value for key, value in sorted(configuration.items()) if not key.startswith(_ASIDE)}
    text = json.dumps([plain, data, code_fingerprint(), hash_sources(plain)], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
