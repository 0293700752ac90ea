"""Text from files, tables and users, made fit for one line of a message."""

#: Characters of a text that a message shows: enough for a path, and never a screenful.
LONGEST = 240


def printable(text: object, longest: int = LONGEST) -> str:
    """The text as one line that a terminal shows as it stands.

    Control characters, escape sequences, line ends, blanks other than the plain one, marks without width, characters
    that turn the direction of writing and undecodable bytes become their Python escapes (``\\x1b``). Letters of any
    script stay. A text of more than ``longest`` characters keeps its two ends, around its length.

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


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
