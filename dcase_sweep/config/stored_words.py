"""The overrides in a file that Hydra has written: which of them are obeyed, and which only the command line may say.

The file may be somebody else's. It chooses files of the configuration folders by their names and sets plain values. It
does not say which code is imported, what is read, or where anything is written (`stored` has the same rules for a
checkpoint).
"""

import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from dcase_sweep.config.checks import GROUPS
from dcase_sweep.config.path_words import holds_path, typed_word

#: What a sweep has given to each of its jobs.
_OF_SWEEPS = ("tracking.parent", "tracking.varying")
#: How fast a machine computes, which does not affect results.
OF_SPEED = ("hardware.threads", "hardware.workers", "hardware.time_limit")
#: Where things are written, and the speed; the continuation of a run may differ in them.
_ELSEWHERE = ("tracking.", "logger.", "metrics.", "store.", *OF_SPEED, "hydra.", "hydra/", "resume", "search")
#: Where something is written; the jobs of a sweep are compared, so all of them compute alike.
_ELSEWHERE_IN_SWEEPS = ("logger.", "metrics.", "store.", "resume")
#: Where a sweep finds its finished jobs or its study.
_STORES = ("tracking.uri", "tracking.folder", "tracking.experiment", "hydra.sweeper.storage")
#: Settings of Hydra that a sweep keeps, by the beginning of their names, and groups of Hydra.
_HYDRA = ("hydra.sweeper.", "hydra.launcher.")
_HYDRA_GROUPS = ("hydra/sweeper", "hydra/sweeper/sampler", "hydra/sweeper/pruner", "hydra/launcher")
#: Settings for the beginning of a sweep alone.
_ONCE = ("hydra.sweeper.fresh", "hydra.sweeper.skip_finished")
#: Code, by the keys of sweepers. A launcher may run commands, so nothing of it is obeyed but these.
_CODE = ("hydra.sweeper.custom_search_space",)
_LAUNCHER_NUMBERS = ("hydra.launcher.n_jobs", "hydra.launcher.max_jobs", "hydra.launcher.stacked")
_NAME = r"'?[\w.\-]+'?|\[[\w.,\-]*\]"
_CHOICE = re.compile(_NAME)
_CHOICES = re.compile(rf"(?:choice\(\s*)?(?:{_NAME})(?:\s*,\s*(?:{_NAME}))*\s*\)?|glob\([\w.\-*?]+\)")
_KEY = re.compile(r"(?:\+{0,2}|~)([A-Za-z][\w.]*)")
#: A path that leads out of the folder that it is relative to, by itself or as an item of a list.
_PLACE = re.compile(r"(?:^|[\[{(,:\s'\"])(?:[/\\~]|[A-Za-z]:[/\\])|(?:^|[^.])\.\.(?:[^.]|$)")
#: Keys within the value of another key, and keys that a sweeper varies.
_INNER_KEY = re.compile(r"[A-Za-z_][\w.]*")
_VARIED = re.compile(r"hydra\.sweeper\.(?:search\.)?params\.")


@dataclass(frozen=True, slots=True)
class StoredWords:
    """The overrides of a file.

    Attributes:
        obeyed: those that a file may say.
        needed: those that only the command line may say, as they are typed.
    """

    obeyed: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)


def sort_words(words: Sequence[str], given: Collection[str], *, is_sweep: bool) -> StoredWords:
    """Sort the overrides of a file; those that do not matter for a continuation are left out.

    Args:
        words: overrides as Hydra writes them.
        given: keys on the command line, whose overrides replace those of the file.
        is_sweep: whether they are those of a sweep, with several values of a key and settings of Hydra's sweeper.
    """
    sorted_words = StoredWords()
    for word in words:
        key, _, value = word.partition("=")
        name = key.lstrip("+~")
        if name in given or name in _OF_SWEEPS or _is_elsewhere(name, is_sweep):
            continue
        if name.startswith("hardware.") and "hardware" in given:  # they belong to other hardware
            continue
        if _may_be_said(key, value, is_sweep):
            sorted_words.obeyed.append(word)
        else:
            sorted_words.needed.append(_typed(key, value, word))
    return sorted_words


def _is_elsewhere(name: str, is_sweep: bool) -> bool:
    """Whether a key has no part in a continuation; the choice of a group has, except that of a search for a run."""
    if not is_sweep:
        return name == "search" or (name.startswith(_ELSEWHERE) and name not in GROUPS)
    if name.startswith(("hydra.", "hydra/")):
        return name in _ONCE or not (name.startswith(_HYDRA) or name in _HYDRA_GROUPS)
    return name.startswith(_ELSEWHERE_IN_SWEEPS) and name not in GROUPS


def _may_be_said(key: str, value: str, is_sweep: bool) -> bool:
    """Whether a file may give a key this value."""
    name = key.lstrip("+~")
    if key.startswith("~") and not value:  # removes a key
        return _KEY.fullmatch(key) is not None
    if name in GROUPS or name in _HYDRA_GROUPS:
        return (_CHOICES if is_sweep else _CHOICE).fullmatch(value) is not None
    if name in _STORES or name in _CODE or not _KEY.fullmatch(key):
        return False
    if name.startswith("hydra.launcher.") and name not in _LAUNCHER_NUMBERS:
        return False
    return not _leads_elsewhere(name, value)


def _leads_elsewhere(key: str, value: str) -> bool:
    """Whether a value names code or a place, or refers to something else."""
    if any(part.startswith("_") for part in key.split(".")) or key in ("task.learner", "framework.check"):
        return True
    if "${" in value or "_target_" in value or _PLACE.search(value) is not None:
        return True
    varied = _VARIED.sub("", key)
    inner = _INNER_KEY.findall(value) if "{" in value else []
    if any(holds_path(name) or holds_path(f"{varied}.{name}") for name in inner):
        return True
    return holds_path(varied) and value.strip("'\"") not in ("", "null")


def _typed(key: str, value: str, word: str) -> str:
    """The word of a shell's command line: a path without Hydra's quotation marks, and anything else as it is."""
    is_path = holds_path(key.lstrip("+")) and not any(letter in value for letter in ",([{")
    return typed_word(key, value.strip("'\"")) if is_path else shlex.quote(word)
