"""Errors of any kind are reported in one line by the real command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CommandLine


@pytest.fixture
def here(tmp_path: Path) -> CommandLine:
    """A command line in an empty folder."""
    return CommandLine(tmp_path)


def test_a_file_in_place_of_the_folder_of_results(here: CommandLine) -> None:
    (here.folder / "outputs").write_text("")

    output = here(code=1)

    assert output.startswith("error: ")
    assert "outputs" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "--help"]])
def test_a_reader_that_has_seen_enough(here: CommandLine, arguments: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dcase_sweep", *arguments],
        cwd=here.folder,
        env=here.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.close()

    _, complaints = process.communicate(timeout=60)

    assert complaints == b""


def test_a_failed_job_of_another_sweeper_is_no_success(here: CommandLine) -> None:
    output = here("-m", "hydra/sweeper=basic", "seed=0,1", "training.epochs=0", code=1)

    assert output.count("failed: job ") == 2
    assert "failed: job 1 seed=1 training.epochs=0: training.epochs=0: expected at least 1" in output
