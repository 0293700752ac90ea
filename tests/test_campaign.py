"""The fault campaign itself: its corpus can be read, and a fault is seen."""

import re
from dataclasses import replace

import pytest

from tests.campaign.cases import Case, load_cases, run_case

MISSPELT = Case("misspelt-verb", ["evalute"], r"^error: evalute: no such verb; did you mean evaluate\?")


def test_there_are_more_than_three_hundred_bad_inputs_each_with_a_pattern_of_its_line():
    cases = [case for area in load_cases().values() for case in area]

    assert len(cases) >= 300
    for case in cases:
        assert re.compile(case.expected)


def test_a_bad_input_that_is_answered_in_one_line_is_no_fault():
    assert run_case("area", MISSPELT).fault is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"expected": "another line"}, "no line matches 'another line'"),
        ({"code": 0}, "exit code 1, expected 0"),
        ({"limit": 0.01}, "exit code -9, expected 1"),
        ({"environment": (("HYDRA_FULL_ERROR", "1"),), "arguments": ["model=cnn6"]}, "a traceback"),
    ],
)
def test_unexpected_output_is_a_fault(changes: dict[str, object], fault: str):
    assert run_case("area", replace(MISSPELT, **changes)).fault == fault
