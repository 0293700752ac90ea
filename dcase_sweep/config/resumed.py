"""``resume=FOLDER`` without other arguments: the overrides with which the run in the folder was started.

Hydra stores them in ``.hydra/overrides.yaml``. The content of the folder is not trusted: it may select options of
configuration groups and set plain values, but not determine which code is imported, which files are read, or where
files are written. `stored` has the same rules for a checkpoint.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dcase_sweep.config.checks import GROUPS
from dcase_sweep.config.files import check_config
from dcase_sweep.config.path_words import holds_path, typed_word
from dcase_sweep.utils.errors import UserError

_OVERRIDES = Path(".hydra") / "overrides.yaml"
#: Number of levels above the path in ``resume`` that may be the run's folder: its checkpoint folder or a file in it.
_ABOVE = 3
#: Keys that a sweep adds to each of its jobs.
_OF_SWEEPS = ("tracking.parent", "tracking.varying")
#: Keys for locations and hardware, in which a continuation may differ.
_ELSEWHERE = ("tracking.", "logger.", "metrics.", "store.", "hardware.", "hydra.", "hydra/", "resume", "search")
_CHOICE = re.compile(r"'?[\w.\-]+'?|\[[\w.,\-]*\]")
_KEY = re.compile(r"\+{0,2}([A-Za-z][\w.]*)")
#: A path that leads out of the folder that it is relative to, by itself or as an item of a list.
_PLACE = re.compile(r"(?:^|[\[{(,:\s'\"])(?:[/\\~]|[A-Za-z]:[/\\])|(?:^|[^.])\.\.(?:[^.]|$)")
_MOST, _LONGEST = 1_000, 10_000


def with_words_of_folder(arguments: Sequence[str]) -> list[str]:
    """A command line with the overrides of the run that ``resume`` names; those that it has already come last.

    Raises:
        UserError: in one line, if the folder's file is none, or if only the command line may say some of it; then with
            the words to add.
    """
    resumed = [word.partition("=")[2].strip("'\"") for word in arguments if word.lstrip("+").startswith("resume=")]
    found = find_overrides(Path(resumed[-1]).expanduser()) if resumed and resumed[-1] not in ("", "null") else None
    if found is None:
        return list(arguments)
    given = {word.partition("=")[0].lstrip("+~") for word in arguments}
    obeyed, needed = [], []
    for word in _read(found):
        key, _, value = word.partition("=")
        name = key.lstrip("+")
        if name in given or name in _OF_SWEEPS or _is_elsewhere(name):
            continue
        if name in GROUPS and _CHOICE.fullmatch(value):
            obeyed.append(word)
        elif name in GROUPS or not _KEY.fullmatch(key) or _leads_elsewhere(name, value):
            needed.append(typed_word(key, value.strip("'\"")) if value else word)
        else:
            obeyed.append(word)
    if needed:
        raise UserError(
            f"resume={resumed[-1]}: a file is not trusted to say which code or recordings are used; add "
            f"{' '.join(needed)}"
        )
    return [*obeyed, *arguments]


def _is_elsewhere(key: str) -> bool:
    """Whether a key sets where something is written or how this machine computes; a group's choice does not."""
    return key == "search" or (key.startswith(_ELSEWHERE) and key not in GROUPS)


def find_overrides(path: Path) -> Path | None:
    """The file with the overrides of the run that a checkpoint or a folder belongs to, where there is one."""
    folders = [path, *path.absolute().parents][:_ABOVE]
    return next((each / _OVERRIDES for each in folders if (each / _OVERRIDES).is_file()), None)


def _read(path: Path) -> list[str]:
    """The overrides in a file; that they are texts is all that is known of them.

    Raises:
        UserError: for a file that holds something else.
    """
    check_config(path)
    words: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    if not isinstance(words, list) or len(words) > _MOST:
        raise UserError(f"{path}: expected a list of at most {_MOST:,} overrides, as Hydra writes it")
    for word in words:
        if not isinstance(word, str) or len(word) > _LONGEST or not word.isprintable():
            raise UserError(f"{path}: an entry that is no override; expected KEY=VALUE, as Hydra writes it")
    return words


def _leads_elsewhere(key: str, value: str) -> bool:
    """Whether a value names code or a place, or refers to something else."""
    if any(part.startswith("_") for part in key.split(".")) or key in ("task.learner", "framework.check"):
        return True
    is_place = holds_path(key) and value.strip("'\"") not in ("", "null")
    return is_place or "${" in value or "_target_" in value or _PLACE.search(value) is not None
