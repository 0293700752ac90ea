"""Tables that fit a terminal: no number is cut, and what is missing is named."""

import re

import pytest

from dcase_sweep.utils.text_table import fit_text, format_table, measure, wrap

ROWS = [
    ["model", "optimizer", "accuracy %", "log loss", "Live activations", "parameters", "seconds"],
    ["a network with a long name", "torch.optim.AdamW", "47.7 ± 1.0", "1.434 ± 0.020", "640,000", "46,246", "1,234"],
    ["cnn5", "adam", "50.1", "1.390", "1,200,000", "191,030", "987"],
]
NUMBERS = {cell for row in ROWS[1:] for cell in row[2:]}


def test_a_pipe_gets_all_of_it_in_one_line_a_row() -> None:
    lines = format_table(ROWS, left=2).splitlines()

    assert lines[0].split("  ")[0] == "model"
    assert [cell for cell in re.split(r"  +", lines[2])] == ROWS[1]
    assert len(lines) == 4


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_it_fits_and_breaks_no_number(width: int) -> None:
    text = format_table(ROWS, left=2, width=width, where="all.csv")

    lines = [line for line in text.splitlines() if not line.startswith("not shown")]
    assert max(map(len, lines)) <= width
    shown = {number for number in NUMBERS if number in text}
    left = {number for line in lines for number in re.findall(r"\d[\d.,]*(?: ± [\d.]+)?", line)}
    assert left <= shown | {"5", "47.7"} | NUMBERS
    missing = re.search(r"not shown: (.*) \(all\.csv has all\)", text)
    named = missing[1].split(", ") if missing else []
    assert named == ROWS[0][7 - len(named) :]


def test_titles_are_divided_before_columns_are_left_out() -> None:
    lines = format_table(ROWS, left=2, width=100).splitlines()

    assert lines[0].rstrip().endswith("Live")
    assert "activations" in lines[1]
    assert "not shown" not in lines[-1]
    assert set(lines[2]) == {"-"}


def test_words_are_shortened_after_that() -> None:
    lines = format_table(ROWS, left=2, width=80).splitlines()

    assert "…" in lines[3]
    assert "47.7 ± 1.0" in lines[3]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_columns_that_stay_whole(width: int) -> None:
    rows = [
        ["age", "state", "process", "name", "id"],
        ["3 h", "finished", "1234@a-long-name-of-a-host", "x" * 99, "0" * 20],
    ]

    lines = format_table(rows, left=range(5), whole=(0, 1, 4), width=width).splitlines()

    assert lines[2].startswith("3 h  finished  ")
    assert lines[2].endswith("  " + "0" * 20)
    assert max(map(len, lines[:3])) <= width
    assert lines[3:] == {40: ["not shown: process, name"], 60: ["not shown: name"]}.get(width, [])


def test_rules_above_the_last_row() -> None:
    lines = format_table([["a", "b"], ["x", "1"], ["total", "1"]], ruled=(1, -1)).splitlines()

    assert [line.startswith("-") for line in lines] == [False, True, False, True, False]


def test_letters_that_are_two_columns_wide_are_aligned() -> None:
    lines = format_table([["반", "clips"], ["자동차 소리", "7"], ["dog", "12"]]).splitlines()

    assert [measure(line) for line in lines[2:]] == [measure(lines[0])] * 2
    assert measure(fit_text("자동차 소리가 나는 곳", 12)) <= 12


def test_text_is_broken_between_words() -> None:
    assert wrap("one two 1,234.5 kWh", 12) == "one two\n1,234.5 kWh"
    assert wrap("one two 1,234.5 kWh", None) == "one two 1,234.5 kWh"
