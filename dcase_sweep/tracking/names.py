"""Names of metrics, parameters and tags that MLflow accepts; different names stay different."""

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Iterable

#: The longest name that MLflow accepts, in characters.
LONGEST = 250
#: The end of a changed name: a hash of the original name.
_HASH = re.compile(r":[0-9a-f]{10}$")


def legal_name(name: str) -> str:
    """Convert a name to one that MLflow accepts: letters, digits, ``_ . - : /`` and blanks, at most 250 characters.

    A legal name is not changed. In any other, illegal characters become ``_`` and a hash of the name is appended, so
    that ``Dog (indoor)`` and ``Dog [indoor]`` get different names, the same in every run. A legal name that ends like
    such a hash gets one too.
    """
    cleaned = re.sub(r"[^\w.\- :/]", "_", name)
    if cleaned != name or len(name) > LONGEST or _HASH.search(name) or not _is_unique_path(name):
        suffix = ":" + _digest(name)
        if not _is_unique_path(cleaned):
            cleaned = cleaned.replace("/", "_")
        if not _is_unique_path(cleaned):  # empty, or only dots
            cleaned = "_" + cleaned
        cleaned = cleaned[: LONGEST - len(suffix)] + suffix
    return cleaned


def _is_unique_path(name: str) -> bool:
    """Whether no other spelling, such as ``a//b`` or ``./a``, names the same path, as MLflow requires."""
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]


class Names:
    """The names of one run.

    The database of a server, for instance MySQL, may treat names as equal that differ in case, accents or trailing
    blanks. Then the later of two such names gets a hash too.

    Args:
        is_exact: whether the store distinguishes all names.
        known: names that the run already has.
    """

    def __init__(self, is_exact: bool, known: Iterable[str] = ()) -> None:
        self._is_exact = is_exact
        self._legal: dict[str, str] = {}
        self._taken = {_folded(name): name for name in known}

    def legal(self, name: str) -> str:
        """Return the name to log under."""
        if name not in self._legal:
            legal = legal_name(name)
            if not self._is_exact and self._taken.setdefault(_folded(legal), legal) != legal:
                suffix = ":" + _digest(name)
                legal = legal[: LONGEST - len(suffix)] + suffix
            self._legal[name] = legal
        return self._legal[name]


def _folded(name: str) -> str:
    """Remove case, accents and trailing blanks, which some databases ignore."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold().rstrip()
