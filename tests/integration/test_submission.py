"""A trained run through the real command line into a package of the challenge."""

import re
from collections.abc import Callable

from tests.conftest import CommandLine
from tests.layout import read_table


def test_a_run_is_submitted_and_its_package_validated(
    command_line: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    printed = command_line(*tiny("training.epochs=1"))
    run = re.search(r"^run .* · (\w{32}) · ", printed, re.MULTILINE)
    assert run is not None
    words = ("submit", run[1], "--recordings", "tau", "--label", "Kim_SNU_task1a_1")

    refused = command_line(*words, "--table", "tau/evaluation_setup/fold1_evaluate.csv", code=1)
    output = command_line(*words, "--table", "tau/evaluation_setup/fold1_evaluate.csv", "--draft")

    assert "written   submission/submission.yaml: fill it in, and repeat the command" in refused
    assert "Kim_SNU_task1a_1: submission.name is open (TODO); fill it in" in refused
    assert "overall" not in refused  # the results are the run's
    assert "written   submission/Kim_SNU_task1a_draft.zip" in output
    table = command_line.folder / "submission/task1/task1a/Kim_SNU_task1a_1/Kim_SNU_task1a_1.output.csv"
    assert len(read_table(table)) == 12
    checked = command_line("submit", "--check", "submission/Kim_SNU_task1a_draft.zip", code=1)
    assert "Kim_SNU_task1a_1.output.csv: no column airport" in checked
