"""Which code made a run, of what, and who ran it."""

import getpass
import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dcase_sweep.config.sources import hash_sources

_PACKAGE = Path(__file__).resolve().parents[1]
#: What says where things are and how fast they go, not what comes out.
_ASIDE = ("tracking.", "logger.", "store.", "resume", "data.root", "data.name", "hardware.threads", "hardware.workers")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says in a folder; None where it says nothing, as outside a repository."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def git_commit(folder: Path) -> str | None:
    """The commit that a folder's repository is at, marked when files differ from it; None outside a repository."""
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def commit_tags(working: Path, package: Path = _PACKAGE) -> dict[str, str]:
    """Which code made a run: the package's own checkout, and the working folder's repository if it is another one.

    An installed package may lie inside somebody's repository, in its virtual environment; its files are not tracked
    there, and the commit would say nothing of them.
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
    """Who runs this, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


@cache
def code_fingerprint() -> str:
    """A hash of this package's source files: of what really runs, committed or not, in a checkout or installed."""
    package = _PACKAGE
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def signature(configuration: Mapping[str, Any], data: str) -> str:
    """What two runs share if they must come to the same: configuration, data and code.

    The code is this package's and that of each component of the configuration that comes from elsewhere.

    Args:
        configuration: flattened.
        data: the fingerprint of the recordings and their labels.
    """
    plain = {key: value for key, value in sorted(configuration.items()) if not key.startswith(_ASIDE)}
    text = json.dumps([plain, data, code_fingerprint(), hash_sources(plain)], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
