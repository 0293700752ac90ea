"""Names of metrics, parameters and tags as MLflow takes them: distinct names stay distinct."""

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Iterable

#: The longest name that MLflow takes, in characters.
LONGEST = 250
#: What follows a name that had to be changed: a hash of the original one.
_HASH = re.compile(r":[0-9a-f]{10}$")


def legal_name(name: str) -> str:
    """A name as MLflow takes it: letters, digits, ``_ . - : /`` and blanks, of at most 250 characters.

    A legal name stays as it is. In any other, what is not allowed becomes ``_`` and a hash of the name follows, so
    that ``Dog (indoor)`` and ``Dog [indoor]`` keep names of their own, the same in every run. A legal name that ends
    like such a hash gets one too.
    """
    cleaned = re.sub(r"[^\w.\- :/]", "_", name)
    if cleaned != name or len(name) > LONGEST or _HASH.search(name) or not _is_unique_path(name):
        suffix = ":" + _digest(name)
        if not _is_unique_path(cleaned):
            cleaned = cleaned.replace("/", "_")
        if not _is_unique_path(cleaned):  # nothing, or dots alone
            cleaned = "_" + cleaned
        cleaned = cleaned[: LONGEST - len(suffix)] + suffix
    return cleaned


def _is_unique_path(name: str) -> bool:
    """MLflow's rule: no other spelling, as ``a//b`` or ``./a``, may name the same path."""
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]


class Names:
    """The names of one run.

    A server's database may take two names for one that differ in case, accents or blanks at the end, as MySQL does:
    there the later of two such names gets a hash too.

    Args:
        is_exact: whether the store tells all names apart.
        known: names that the run has already.
    """

    def __init__(self, is_exact: bool, known: Iterable[str] = ()) -> None:
        self._is_exact = is_exact
        self._legal: dict[str, str] = {}
        self._taken = {_folded(name): name for name in known}

    def legal(self, name: str) -> str:
        """The name to log under; the same for the same name."""
        if name not in self._legal:
            legal = legal_name(name)
            if not self._is_exact and self._taken.setdefault(_folded(legal), legal) != legal:
                suffix = ":" + _digest(name)
                legal = legal[: LONGEST - len(suffix)] + suffix
            self._legal[name] = legal
        return self._legal[name]


def _folded(name: str) -> str:
    """What a database that ignores case, accents and blanks at the end sees of a name."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold().rstrip()
