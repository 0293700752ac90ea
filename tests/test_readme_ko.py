"""The Korean README says what the English one says: the same commands, headings, links, pictures and numbers."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
#: What both have in the same order, by its pattern in the text outside of blocks.
_ALIKE = {
    "headings": r"^#+ ",
    "links": r"\]\((?!README)([^)]+)\)",
    "rows of tables": r"^\|[^|]*\||^\| --- .*$",
    "ratios": r"\d\S* [×%](?: \(.*?\))? \|$",
}


@pytest.mark.parametrize("of", [_BLOCK.pattern, r"`[^`\n]+`"], ids=["blocks", "code in sentences"])
def test_code_is_the_same(of: str) -> None:
    english, korean = (re.findall(of, text, re.MULTILINE | re.DOTALL) for text in (ENGLISH, KOREAN))

    assert len(english) > 5
    assert sorted(korean) == sorted(english)


@pytest.mark.parametrize("pattern", _ALIKE.values(), ids=_ALIKE)
def test_parts_are_in_the_same_order(pattern: str) -> None:
    english, korean = (re.findall(pattern, _BLOCK.sub("", text), re.MULTILINE) for text in (ENGLISH, KOREAN))

    assert len(english) >= 4
    if pattern.startswith(r"^\|"):  # the first cell is in the reader's language
        assert len(korean) == len(english)
    else:
        assert korean == english


def test_numbers_are_the_same() -> None:
    """Those with two digits or more; a number in words is a number in digits in Korean."""
    english, korean = (
        sorted(re.findall(r"\d[\d.,]*\d", re.sub(r"\(.*?\)", "", _BLOCK.sub("", text)))) for text in (ENGLISH, KOREAN)
    )

    assert len(english) > 10
    assert set(korean) == set(english)


def test_each_links_to_the_other() -> None:
    assert "[한국어](README.ko.md)" in ENGLISH.splitlines()
    assert "[English](README.md)" in KOREAN.splitlines()


def test_nothing_was_left_in_english() -> None:
    sentences = _BLOCK.sub("", KOREAN).split("\n\n")
    prose = [each for each in sentences if len(re.sub(r"`[^`]*`|\(.*?\)|\W", "", each)) > 40]

    assert [each for each in prose if not re.search(r"[가-힣]", each)] == []
