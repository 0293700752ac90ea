"""Locations of the configuration files: in an installed wheel, or next to the package in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _resource(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_folder() -> Path:
    """Return the folder of the configuration groups."""
    return _resource("conf")


def experiment_folders() -> list[Path]:
    """Return the folders of published and reported experiments, then of the user's own in ``experiments/``."""
    own, packaged = Path.cwd() / "experiments", _resource("experiments")
    return [packaged] if own == packaged or not own.is_dir() else [packaged, own]
