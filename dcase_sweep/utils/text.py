"""Formatting of text from files, tables and users for one line of a message."""

import difflib
import re
from collections.abc import Iterable

#: The most characters of a text that a message shows; enough for a path.
LONGEST = 240


def printable(text: object, longest: int = LONGEST) -> str:
    """Format a text as one line that a terminal shows unchanged.

    Control characters, escape sequences, line ends, blanks other than the space, characters without width, marks for
    the direction of writing and undecodable bytes become Python escapes (``\\x1b``). Letters of any script are kept. A
    text of more than ``longest`` characters is cut to its two ends, with its length between them.

    Raises:
        ValueError: if ``longest`` is not positive.
    """
    if longest < 1:
        raise ValueError(f"longest={longest}: expected at least 1 character")
    shown = str(text)
    if len(shown) > longest:
        head = longest - longest // 3
        tail = shown[len(shown) - longest // 3 :]
        return f"{_escaped(shown[:head])}... ({len(shown):,} characters) ...{_escaped(tail)}"
    return _escaped(shown)


def is_unicode(name: str) -> bool:
    """Whether a file name can be written in UTF-8: Python keeps the bytes of another encoding as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def describe_unprintable(path: object) -> str:
    """Describe a file whose name no table could contain."""
    return f"{printable(path)}: the name has a control character or is not UTF-8; rename it"


def natural(name: str) -> list[int | str]:
    """Return a key that sorts ``10.wav`` after ``9.wav``."""
    # Even places are text and odd ones are numbers, so that keys can be compared.
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d{1,18})", name))]


def suggest(name: str, known: Iterable[str], *, otherwise: str, prefix: str = "") -> str:
    """Return the question whether the most similar of the known names was meant, or another hint if none is similar.

    Args:
        name: the unknown name.
        known: the names to choose from.
        otherwise: the hint if no name is similar.
        prefix: precedes the name in the question, such as the group of a key.
    """
    near = difflib.get_close_matches(name, [*known], n=1)
    return f"did you mean {prefix}{near[0]}?" if near else otherwise


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
