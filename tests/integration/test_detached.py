"""``--detach``: a search that goes on without its terminal, and what is found before."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from dcase_sweep.sweep.optuna import study as records
from tests.conftest import CommandLine
from tests.integration.test_search import study

Tiny = Callable[..., list[str]]


def test_a_search_goes_on_in_the_background_and_is_stopped_by_its_process(
    command_line: CommandLine, tiny: Tiny
) -> None:
    words = tiny("hydra/sweeper=optuna", "model.dropout=interval(0,0.5)", "training.epochs=50")
    output = command_line("--detach", "-m", *words, "hydra.sweeper.study_name=away", "hydra.sweeper.n_trials=30")

    assert "status    python -m dcase_sweep status away" in output
    found = re.search(r"^detached  process (\d+), .*\nfolder    (\S+)\n", output, re.MULTILINE)
    assert found is not None, output
    process, folder = int(found[1]), command_line.folder / found[2]
    assert os.getsid(process) == process
    log = folder / "detached.log"
    _wait_for_line(log, "folder ")
    os.kill(process, signal.SIGTERM)
    _wait_for_line(log, "ended ")

    assert "interrupted; the same command continues: python -m dcase_sweep -m " in log.read_text()
    assert log.read_text().endswith("ended     exit code 143\n")
    assert records.counts(study(command_line.folder, "away").get_trials())["running"] == 0


def test_mistakes_are_found_in_the_terminal(command_line: CommandLine, tiny: Tiny) -> None:
    single = command_line("--detach", *tiny(), code=1)
    wrong = command_line("--detach", "-m", *tiny("seed=0,x"), code=1)

    assert single.startswith("error: --detach: only a sweep or a search goes on in the background; add -m")
    assert "seed: Value 'x' of type 'str' could not be converted to Integer" in wrong.splitlines()[-2]
    assert wrong.splitlines()[-1] == "ended     exit code 1"
    assert "Traceback" not in wrong


def _wait_for_line(log: Path, begin: str) -> None:
    deadline = time.monotonic() + 120
    while f"\n{begin}" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
