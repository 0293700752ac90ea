"""The help of every verb at the width of the terminal."""

import contextlib
import io

import pytest

from dcase_sweep.__main__ import VERBS, main
from dcase_sweep.cli.parser import fill_help

COMMANDS = [[verb] for verb in VERBS] + [["evaluate", "scenes"], ["evaluate", "events"]]


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_a_verb_fits_the_terminal(command: list[str], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.suppress(SystemExit):
        main([*command, "--help"])

    lines = output.getvalue().splitlines()
    assert lines[0].startswith(f"usage: python -m dcase_sweep {command[0]}")
    assert max(map(len, lines)) <= width
    assert any("python -m dcase_sweep" in line for line in lines[1:]) or command[0] == "init"


def test_paragraphs_lists_and_commands_are_broken_where_they_are_too_long() -> None:
    text = """\
A paragraph of two lines that are too
long for this terminal.

KEY is one of
  - a first item that goes on
    in another line;
  - a second one.

  name    its text goes on under its beginning

examples:
  python -m program with many words and --options"""

    assert (
        fill_help(text, 30)
        == """\
A paragraph of two lines that
are too long for this
terminal.

KEY is one of
  - a first item that goes on
    in another line;
  - a second one.

  name    its text goes on
          under its beginning

examples:
  python -m program with \\
      many words and \\
      --options"""
    )


def test_what_fits_is_left_as_it_is() -> None:
    text = "two short\nlines\n\n  and a list"

    assert fill_help(text, 40) == text
