"""Paths and names of a command line, which Hydra's grammar takes only in a second pair of quotation marks.

People type ``data.root=~/녹음/TAU``, and Lightning names its own files ``epoch=156-step=18525.ckpt``. To Hydra ``~``,
``=``, ``#``, ``[`` and every letter outside ASCII are errors, and a comma separates two values. So the values of keys
that hold paths are quoted here, as Hydra has to read them, and ``~`` is expanded.
"""

import os
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from dcase_sweep.utils.overrides import quote

#: Keys of this package and of Hydra that hold a path and nothing else.
_PATHS = (
    *("data.root", "data.table", "data.validation_list", "resume", "compression.start", "mean_teacher.checkpoint"),
    *("store.root", "tracking.folder", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"),
)
#: Keys of the user's own that hold a path, by the last part of their names: ``model.weights_file``.
_OWN_PATHS = re.compile(r"(?!hydra\.)[\w.]+\.(?:\w+_)?(?:root|path|file|folder|dir|checkpoint)")
#: Keys that hold an address or a name of the user's choice; ``~`` means nothing in it.
_TEXTS = re.compile(
    r"tracking\.(?:uri|experiment|run_name)|tracking\.tags\.\w+|hydra\.sweeper\.(?:storage|study_name)|hydra\.job\.name"
)
#: Hydra's own texts that name a location or a study, of which there is one in a sweep too.
HYDRA_TEXTS = (
    "hydra.run.dir",
    "hydra.sweep.dir",
    "hydra.sweep.subdir",
    "hydra.sweeper.storage",
    "hydra.sweeper.study_name",
)
_SEARCH_PATH = "hydra.searchpath"
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_ITEM = re.compile(rf"(?:{_QUOTED.pattern}|[^,])+", re.DOTALL)
_FUNCTION = re.compile(r"(?:choice|glob|shuffle|sort|tag|str|extend_list)\(.*\)", re.DOTALL)
#: Hydra's parser takes long for more; no path is longer.
_LONGEST = 4_096


def quote_paths(arguments: Sequence[str], *, is_sweep: bool) -> list[str]:
    """Quote the values of keys that hold paths, as Hydra has to read them.

    A value that Hydra reads as text already is left as it is, so quotation marks, escapes and references such as
    ``${now:%Y}`` keep their meaning.

    Args:
        arguments: the arguments of a command line.
        is_sweep: whether a comma separates the values of several jobs; it belongs to the path otherwise.
    """
    return [_quote_word(word, is_sweep) for word in arguments]


def typed_word(key: str, value: object) -> str:
    """The word of a shell's command line that gives a key this text, quoted where it has to be.

    A key that holds paths needs no quotation marks of Hydra's.
    """
    text = str(value)
    plain = f"{key}={text}"
    if holds_path(key) and "," not in text and "${" not in text and text == text.strip() and text[:1] not in ("'", '"'):
        return shlex.quote(plain)
    is_plain = _is_text(key, text) and _read(key, text).value() == text and "${" not in text
    return shlex.quote(plain if is_plain else f"{key}={quote(text)}")


def holds_path(key: str) -> bool:
    """Whether a key holds a path, by its name: ``data.root``, ``resume``, ``model.weights_file``."""
    return key in _PATHS or _OWN_PATHS.fullmatch(key) is not None


def _quote_word(word: str, is_sweep: bool) -> str:
    if word.startswith("--config-dir=") or word.startswith("-cd="):
        flag, _, value = word.partition("=")
        return f"{flag}={os.path.expanduser(value)}"
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not equals or not value.isprintable() or len(value) > _LONGEST or key.startswith("~"):
        return word
    if name == _SEARCH_PATH:
        return f"{key}={_quote_list(value)}"
    is_path = holds_path(name)
    if not is_path and not _TEXTS.fullmatch(name):
        return word
    if _FUNCTION.fullmatch(value.strip()) or value.strip() == "null":
        return word
    items = _ITEM.findall(value) if is_sweep and name not in HYDRA_TEXTS else [value]
    return f"{key}={','.join(_quote_item(name, item, is_path) for item in items)}"


def _quote_list(value: str) -> str:
    """A list of folders, as ``hydra.searchpath`` is one."""
    found = re.fullmatch(r"\s*\[(.*)\]\s*", value, re.DOTALL)
    if found is None:
        return value
    return f"[{','.join(_quote_item(_SEARCH_PATH, item, True) for item in _ITEM.findall(found[1]))}]"


def _quote_item(key: str, value: str, is_path: bool) -> str:
    text = value.strip()
    if not text or _QUOTED.fullmatch(text):
        return value
    if is_path and text.startswith("~"):
        text = os.path.expanduser(text)
    elif _is_text(key, text):
        return value
    return text if _is_text(key, text) else quote(text, resolve="${" in text)


def _is_text(key: str, value: str) -> bool:
    """Whether Hydra reads a value as one text without quotation marks, or as what another key than a path may be."""
    try:
        read = _read(key, value)
    except (HydraException, RecursionError):
        return False
    if read.is_sweep_override():
        return False
    return isinstance(read.value(), str) or key not in (*_PATHS, _SEARCH_PATH)


def _read(key: str, value: str) -> Override:
    return OverridesParser.create().parse_override(f"{key}={value}")
