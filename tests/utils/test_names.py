"""Checks of names of studies, runs and experiments."""

import pytest

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.names import check_name


@pytest.mark.parametrize("name", ["bob's <b>", "100% a/b\\c", "öäü 例 👩‍👩‍👧", "${x}", "x" * 200])
def test_any_script_and_any_sign_is_allowed(name: str) -> None:
    assert check_name(name, "key", 200) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("x" * 201, "201 characters; expected at most 200"),
        ("a\nb", r"control character '\\n'"),
        ("a\x1b[31m", r"control character '\\x1b'"),
        ("a\u2028b", r"control character '\\u2028'"),
        ("a\udc80", r"control character '\\udc80'"),
        ("a\x85b", r"control character '\\x85'"),
    ],
)
def test_bad_names_are_rejected_in_one_line(name: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as refused:
        check_name(name, "hydra.sweeper.study_name", 200)
    assert str(refused.value).isprintable()
