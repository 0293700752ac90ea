"""Names and labels in one line of a message."""

import pytest

from dcase_sweep.utils.text import printable, suggest


@pytest.mark.parametrize("text", ["", "audio/a b.wav", "Grüße/日本語/Ελλάδα.wav", 'it\'s "so" \\ \u00f1'])
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("two\nlines\r", r"two\nlines\r"),
        ("tab\tnul\0", r"tab\tnul\x00"),
        ("no\u00a0break", r"no\xa0break"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("gpj.\u202ewav", r"gpj.\u202ewav"),
        ("line\u2028separator", r"line\u2028separator"),
        ("undecodable \udce9", r"undecodable \udce9"),
    ],
)
def test_invisible_and_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_keeps_its_two_ends() -> None:
    shown = printable("/data/audio/" + 10_000 * "x" + "-a.wav")

    assert shown.startswith("/data/audio/xxx")
    assert shown.endswith("xxx-a.wav")
    assert "... (10,018 characters) ..." in shown
    assert len(shown) < 300


def test_a_long_text_of_control_characters_is_cut() -> None:
    assert len(printable(1_000_000 * "\x1b", longest=30)) < 200


def test_a_text_of_the_longest_length_is_not_cut() -> None:
    assert printable("abcde", longest=5) == "abcde"
    assert printable("abcdef", longest=5) == "abcd... (6 characters) ...f"


def test_the_limit_must_be_positive() -> None:
    with pytest.raises(ValueError, match="longest=0"):
        printable("a", longest=0)


def test_the_most_similar_name_is_suggested_with_its_prefix() -> None:
    known = ["depth", "dropout", "units"]

    assert suggest("dept", known, prefix="model.", otherwise="expected one of them") == "did you mean model.depth?"
    assert suggest("zzz", known, prefix="model.", otherwise="expected one of them") == "expected one of them"
    assert suggest("depth", [], otherwise="none") == "none"
