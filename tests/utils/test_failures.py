"""Descriptions of exceptions of a user's component."""

import importlib.util
from pathlib import Path

import pytest

from dcase_sweep.utils.failures import describe_failure


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("project", "KeyError: 'scene' (mine.fail, mine.py, line 2)"),
        ("lib/python3/site-packages", "KeyError: 'scene' (mine.fail)"),  # of a user's home, or of another environment
    ],
)
def test_the_line_is_that_of_code_that_is_not_installed(folder: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "mine.py"
    path.parent.mkdir(parents=True)
    path.write_text("def fail():\n    return {}['scene']\n")
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    with pytest.raises(KeyError) as caught:
        module.fail()

    assert caught.value.__traceback__ is not None
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)  # without this file
    assert describe_failure(error, "mine.fail") == says
