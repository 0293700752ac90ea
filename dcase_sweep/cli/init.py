"""``init``: a small project of the user's own, which runs as it is written."""

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
Write a small project into a new or empty folder: a network, a data set with a few generated recordings, an experiment,
a search, tests and a README whose commands run as they stand."""

_TEMPLATE = Path(__file__).parent / "project"
#: How the template calls the package of the project.
_NAME = "my_project"
#: Files that would be taken for this repository's own under their real names.
_RENAMED = {"gitignore.txt": ".gitignore"}
_RATE, _SECONDS, _CLIPS = 16_000, 1.0, 10
#: What the scenes of the generated recordings sound like: Hz of a tone, and its share beside noise.
_SCENES = {"hall": (250.0, 0.3), "street": (1000.0, 0.3), "wind": (0.0, 0.0)}


def main(arguments: list[str]) -> int:
    """Write the project; 0 on success.

    Raises:
        UserError: for a folder that is not empty or cannot be made.
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
    print(f"wrote {folder}: its README.md says what each file is\n")
    print(f"  cd {folder}\n  python -m dcase_sweep --config-dir conf +experiment=first")
    return 0


def package_name(folder: Path) -> str:
    """The name of the project's package: the folder's, as Python takes it.

    Raises:
        UserError: for a name that no package can have, or that another package has.
    """
    name = re.sub(r"\W+", "_", folder.absolute().name, flags=re.ASCII).strip("_").lower()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{printable(folder)}: no name for a Python package; expected letters, digits, - and _")
    is_taken = name in sys.stdlib_module_names or name in ("conf", "recordings", "tests")
    if is_taken or importlib.util.find_spec(name) is not None:
        name += "_project"
    return name


def _list_files() -> Iterator[Path]:
    for path in sorted(_TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _write_recordings(root: Path) -> None:
    """Tones in noise, a folder for each scene: enough to see that everything runs."""
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
