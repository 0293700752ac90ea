"""Names that look the same but are different text: `Speech` and `Sрeech` with a Cyrillic letter."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

#: Characters that look like an ASCII character after compatibility normalisation (NFKC), which already replaces
#: full-width letters, ligatures and mathematical letters. From the confusables of Unicode Technical Standard 39.
_PAIRS = (
    # Cyrillic
    "АA ВB ЕE ЅS ІI ЈJ КK МM НH ОO РP СC ТT УY ҮY ХX ԌG ԚQ ԜW аa вb еe ѕs іi јj кk мm нh оo рp сc тt уy үy хx ԍg ԛq ԝw "
    "ԁd һh ҺH ӏl ӀI "
    # Greek
    "ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX αa εe ιi κk νv οo ρp τt υu χx ωw γy "
    # Armenian
    "օo սu հh ոn ցg յj "
    # Latin
    "ıi ɩi ɪi ɑa ɡg ȷj ʏy ʀr ʜh ɴn ʟl ʙb ᴀa ᴄc ᴅd ᴇe ᴊj ᴋk ᴍm ᴏo ᴘp ꜱs ᴛt ᴜu ᴠv ᴡw ᴢz ꜰf "
    # Signs
    "‐- ‑- ‒- –- —- ―- −- ⁃- ’' ‘' ʼ' ′' ⁄/ ∕/"
)
_LATIN = {ord(pair[0]): pair[1] for pair in _PAIRS.split()}
#: Invisible characters: a joiner, variation selectors, fillers.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x3164, *range(0xFE00, 0xFE10)}
#: Unicode categories of blanks: separators, and characters without width.
_BLANK = ("Zs", "Zl", "Zp", "Cf")


def is_blank(character: str) -> bool:
    """Whether a character is invisible: any kind of space, a character without width, a mark for direction."""
    return character.isspace() or ord(character) in _INVISIBLE or unicodedata.category(character) in _BLANK


def strip_blanks(text: str) -> str:
    """Remove blanks of any kind from both ends and bring the text into composed form (NFC).

    >>> strip_blanks("\\ufeffSpeech\\u00a0\\u200b")
    'Speech'
    """
    if text.isascii():
        return text.strip()
    begin, end = 0, len(text)
    while begin < end and is_blank(text[begin]):
        begin += 1
    while begin < end and is_blank(text[end - 1]):
        end -= 1
    return unicodedata.normalize("NFC", text[begin:end])


def skeleton(text: str) -> str:
    """Remove blanks and case, and replace each letter that looks like a Latin letter by that letter.

    Names with the same skeleton look the same.
    """
    if text.isascii():
        return "".join(text.split()).casefold()
    normal = unicodedata.normalize("NFKC", text).translate(_LATIN)
    return "".join(character for character in normal if not is_blank(character)).casefold()


def show(text: str) -> str:
    """Quote the text and give the code points of its characters outside ASCII, so that a difference is visible.

    >>> show("Sрeech")
    "'Sрeech' (character 2 is U+0440)"
    """
    shown = "".join(
        character if character == " " or (character.isprintable() and not is_blank(character)) else _escape(character)
        for character in shorten(text, 80)
    )
    odd = [(place, character) for place, character in enumerate(text, start=1) if ord(character) > 126]
    points = ", ".join(f"character {place} is U+{ord(character):04X}" for place, character in odd[:3])
    more = ", ..." if len(odd) > 3 else ""
    return f"'{shown}'" + (f" ({points}{more})" if odd else "")


def shorten(text: str, length: int) -> str:
    """Cut the middle out of a text that is longer than ``length``, and put an ellipsis there."""
    if len(text) <= length:
        return text
    end = (length - 1) // 3
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Two different names that look the same."""

    first: str
    second: str

    @property
    def difference(self) -> str:
        """The kind of difference: blanks, case or letters that look alike."""
        plain = ["".join(c for c in name if not is_blank(c)) for name in (self.first, self.second)]
        if plain[0] == plain[1]:
            return "blanks"
        return "case" if plain[0].lower() == plain[1].lower() else "letters that look alike"

    def __str__(self) -> str:
        return f"{show(self.second)} and {show(self.first)} differ only in {self.difference}"


def find_lookalikes(names: Iterable[str]) -> list[Lookalike]:
    """Pair each name with the first earlier name that looks the same."""
    seen: dict[str, str] = {}
    found = []
    for name in dict.fromkeys(names):
        # Compare by skeleton, and also by case alone: the small letter of the Greek Ν (N) looks like v.
        keys = (skeleton(name), _without_blanks(name).casefold())
        first = next((seen[key] for key in keys if key in seen), None)
        if first is not None:
            found.append(Lookalike(first, name))
        for key in keys:
            seen.setdefault(key, name)
    return found


def find_lookalike(name: str, known: Iterable[str]) -> Lookalike | None:
    """Find a known name that looks the same as this one but differs from it."""
    others = [other for other in known if other != name]
    return next((pair for pair in find_lookalikes([*others, name]) if pair.second == name), None)


def _without_blanks(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text)
    return "".join(character for character in normal if not is_blank(character))


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"
