"""Where the configuration files are: inside an installed wheel, or beside the package in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _resource(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_folder() -> Path:
    """The folder of the configuration groups."""
    return _resource("conf")


def experiment_folders() -> list[Path]:
    """The published and reported experiments, then the user's own in ``experiments/`` of the working folder."""
    own, packaged = Path.cwd() / "experiments", _resource("experiments")
    return [packaged] if own == packaged or not own.is_dir() else [packaged, own]
