"""Names that look the same."""

import pytest

from dcase_sweep.utils.lookalikes import find_lookalike, find_lookalikes, shorten, show, strip_blanks


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ("Speech", "Sрeech", "letters that look alike"),  # Cyrillic р
        ("Speech", "Ｓｐｅｅｃｈ", "letters that look alike"),  # full width
        ("Vacuum", "Vаcuum", "letters that look alike"),
        ("office", "oﬃce", "letters that look alike"),  # a ligature
        ("Dog", "dog", "case"),
        ("ΒUS", "bus", "letters that look alike"),  # Greek capital beta
        ("вода", "Вода", "case"),
        ("νέα", "Νέα", "case"),
        ("Alarm bell", "Alarm  bell", "blanks"),
        ("Alarm bell", "Alarm\u00a0bell", "blanks"),
        ("Speech", "Spe\u200bech", "blanks"),
        ("Speech", "Spe\u00adech", "blanks"),
        ("paris-12", "paris–12", "letters that look alike"),  # an en dash
        ("paris-12", "paris\u201112", "letters that look alike"),  # a hyphen that does not break
    ],
)
def test_names_that_look_the_same_are_found(first: str, second: str, difference: str) -> None:
    (pair,) = find_lookalikes([first, "Cat", second])

    assert (pair.first, pair.second) == (first, second)
    assert pair.difference == difference
    assert find_lookalike(second, ["Cat", first]) == pair


@pytest.mark.parametrize(
    "names",
    [
        ["metro", "metro_station", "metro station"],
        ["Bär", "Bar"],
        ["s1", "sl", "sI0"],
        ["犬", "猫"],
        ["собака", "кошка"],
        ["C++", "C"],
    ],
)
def test_names_that_look_different_are_not_reported(names: list[str]) -> None:
    assert find_lookalikes(names) == []
    assert find_lookalike(names[0], names) is None


def test_letters_are_shown_by_their_code_points() -> None:
    assert show("Sрeech") == "'Sрeech' (character 2 is U+0440)"
    assert show("Spe\u200bech") == "'Spe\\u200bech' (character 4 is U+200B)"
    assert show("Dog") == "'Dog'"


def test_blanks_of_any_kind_are_stripped_and_letters_composed() -> None:
    assert strip_blanks("\ufeff Speech\u00a0\u200b\t") == "Speech"
    assert strip_blanks("Cafe\u0301") == "Café"
    assert strip_blanks("\u3000") == ""


def test_long_names_are_shortened_in_their_middle() -> None:
    assert shorten("x" * 10_000, 40) == "x" * 26 + "…" + "x" * 13
    assert len(shorten("y" * 41, 40)) == 40
    assert shorten("dog", 40) == "dog"
