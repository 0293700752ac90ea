"""``init``: write a small, runnable project."""

import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from dcase_sweep.cli.parser import OneLineParser
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_text
from dcase_sweep.utils.text import printable

PROG = "python -m dcase_sweep init"
DESCRIPTION = """\
Write a small, runnable project into a new or empty folder: a network, a data set with a few generated recordings, an
experiment, a search, tests and a README with its commands."""

_TEMPLATE = Path(__file__).parent / "project"
#: The package's name in the template.
_NAME = "my_project"
#: Files that would otherwise take effect in this repository.
_RENAMED = {"gitignore.txt": ".gitignore"}
_RATE, _SECONDS, _CLIPS = 16_000, 1.0, 10
#: The sounds of the generated scenes: frequency (Hz) and amplitude of a tone in noise.
_SCENES = {"hall": (250.0, 0.3), "street": (1000.0, 0.3), "wind": (0.0, 0.0)}


def main(arguments: list[str]) -> int:
    """Write the project; return 0.

    Raises:
        UserError: for a folder that is not empty or cannot be created.
    """
    parser = OneLineParser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    name = package_name(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; expected a new folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file; expected a new folder")
    for source in _list_files():
        target = folder / source.relative_to(_TEMPLATE).as_posix().replace(_NAME, name)
        target = target.with_name(_RENAMED.get(target.name, target.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, source.read_text(encoding="utf-8").replace(_NAME, name))
    _write_recordings(folder / "recordings")
    print(f"wrote {folder}: its README.md describes the files\n")
    print(f"  cd {folder}\n  python -m dcase_sweep --config-dir conf +experiment=first")
    return 0


def package_name(folder: Path) -> str:
    """Return the name of the project's package, derived from the folder's.

    Raises:
        UserError: for a name that is not valid for a package, or that another package has.
    """
    name = re.sub(r"\W+", "_", folder.absolute().name, flags=re.ASCII).strip("_").lower()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{printable(folder)}: not a name for a Python package; expected letters, digits, - and _")
    is_taken = name in sys.stdlib_module_names or name in ("conf", "recordings", "tests")
    if is_taken or importlib.util.find_spec(name) is not None:
        name += "_project"
    return name


def _list_files() -> Iterator[Path]:
    for path in sorted(_TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _write_recordings(root: Path) -> None:
    """Write a folder of tones in noise for each scene, as a placeholder for real recordings."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(2021)
    times = np.arange(round(_RATE * _SECONDS)) / _RATE
    for scene, (frequency, gain) in _SCENES.items():
        (root / scene).mkdir(parents=True)
        for number in range(_CLIPS):
            tone = gain * np.sin(2 * np.pi * frequency * (1 + 0.05 * rng.standard_normal()) * times)
            noise = 0.05 * rng.standard_normal(len(times))
            soundfile.write(root / scene / f"{number:02}.wav", tone + noise, _RATE)
