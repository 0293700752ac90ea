"""``join``: a machine without the command that began a search works on it until it is complete."""

import shlex
from collections.abc import Callable

import pytest

from dcase_sweep.sweep.optuna import study as records
from tests.conftest import CommandLine
from tests.integration.test_search import study

Tiny = Callable[..., list[str]]
SEARCH = (
    "hydra/sweeper=optuna",
    "model.units=tag(int,interval(8,64))",
    "training.epochs=1",
    "hydra.sweeper.study_name=joined",
)


@pytest.fixture(scope="module")
def begun(command_line: CommandLine, tiny: Tiny) -> str:
    """The recordings of a search that has one trial and wants two more; its command has ended."""
    words = tiny(*SEARCH, "hydra.sweeper.n_trials=1")
    command_line("-m", *words)
    made = study(command_line.folder, "joined")
    made.set_user_attr(records.COMMAND, made.user_attrs[records.COMMAND] | {"n_trials": 3})
    return next(word for word in words if word.startswith("data.root="))


def test_the_recordings_of_this_machine_must_be_typed(command_line: CommandLine, begun: str) -> None:
    output = command_line("join", "joined", code=1)

    assert output.startswith("error: joined: a storage is not trusted to say which code or recordings are used; add")
    assert "data.root=" in output


def test_another_configuration_is_refused_in_one_line(command_line: CommandLine, begun: str) -> None:
    output = command_line("join", "joined", begun, "training.epochs=2", code=1)

    assert "error: study joined was created with different settings: configuration training.epochs: was 1" in output
    assert "Traceback" not in output


def test_a_machine_joins_until_the_search_is_complete(command_line: CommandLine, begun: str) -> None:
    output = command_line("join", "joined", begun, "workers=2", "hardware=cpu", "storage=mlruns/optuna.log")

    trials = study(command_line.folder, "joined").get_trials()
    assert records.counts(trials)["finished"] == 3, output
    assert "search    joined (continued with 1 finished), 3 trials wanted, 2 at a time" in output
    assert "results   are written by the command that began the search" in output
    assert "no parent" not in output
    assert "joined  complete     3       3" in command_line("status")
    command = output.splitlines()[-1].strip()
    assert command.startswith("python -m dcase_sweep -m ")
    written = command_line(*shlex.split(command)[3:])
    assert "search    complete: nothing is left to run" in written
    folder = next(line.split()[1] for line in written.splitlines() if line.startswith("folder"))
    assert (command_line.folder / folder / "trials.csv").read_text().count("finished") == 3


def test_a_search_that_was_stopped_is_not_joined(command_line: CommandLine, begun: str) -> None:
    made = study(command_line.folder, "joined")
    made.set_user_attr(records.COMMAND, made.user_attrs[records.COMMAND] | {"n_trials": 99})
    made.set_user_attr(records.STOPPED, "too many trials failed")

    output = command_line("join", "joined", begun, code=1)

    assert output.splitlines()[-1] == "failed: search stopped: too many trials failed"
    assert len(study(command_line.folder, "joined").get_trials()) == len(made.get_trials())
