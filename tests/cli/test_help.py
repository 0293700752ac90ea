"""``--help`` and ``help KEY``: every value has a description, whatever is chosen, and 80 columns are enough."""

import contextlib
import io
from collections.abc import Iterator

import pytest

from dcase_sweep.__main__ import VERBS, main
from dcase_sweep.cli import help as help_text
from dcase_sweep.config.compose import register_experiments
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.sweep.optuna.sweeper import OptunaSweeper
from tests.conftest import shown_at

PATH = SearchPath()
#: Groups of which several choices make one configuration.
SEVERAL = ("augmentation", "callbacks", "logger", "metrics")


def configurations() -> Iterator[tuple[str, ...]]:
    for group in ("front_end", "model", "optimizer", "scheduler", "hardware", "framework", "tracking", "task_data"):
        yield from ((f"{group}={choice}",) for choice in PATH.choices(group))
    yield from ((f"{group}=[{','.join(sorted(set(PATH.choices(group)) - {'none'}))}]",) for group in SEVERAL)
    for task in ("'4'", "1a"):
        yield from ((f"task={task}", f"data={data}") for data in ("demo", "folder"))
    yield from (("data=tau2020",), ("task='4'", "data=desed"))


@pytest.mark.parametrize("words", configurations(), ids=" ".join)
def test_every_value_has_a_description(words: tuple[str, ...]) -> None:
    register_experiments()

    sections = [*help_text._sections(help_text._compose(words, PATH), PATH), *help_text._hydra_sections()]

    without = [key for section in sections for key, text in section.values.items() if not text]
    assert without == []


def printed(*arguments: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main([*arguments]) == 0
    return output.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_it_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with shown_at(width, monkeypatch):
        text = printed("--help")

    lines = text.splitlines()
    assert max(len(line) for line in lines if not line.lstrip().startswith("hydra.")) <= width
    assert all(any(line.startswith(f"  {verb} ") for line in lines) for verb in VERBS)
    assert "model         network: [baseline_cnn], cnn4" in text
    assert "data.train_clips=300" in text


def test_the_values_are_those_of_the_choices() -> None:
    text = printed("--help", "task=4", "training.epochs=7")

    assert "mean_teacher.strong=3 " in text
    assert "training.epochs=7 " in text
    assert "model=crnn_meanteacher: " in text


def test_the_keys_of_a_search_are_those_of_its_sweeper() -> None:
    text = printed("--help")

    names = {line.split("=")[0].strip() for line in text.splitlines() if line.startswith("  hydra.sweeper.")}
    import inspect

    taken = set(inspect.signature(OptunaSweeper.__init__).parameters) - {"self", "sampler", "pruner"}
    assert {f"hydra.sweeper.{name}" for name in taken} <= names
    assert {"hydra.sweeper.skip_finished", "hydra.sweeper.max_batch_size", "hydra.sweeper.search"} <= names


def test_one_key() -> None:
    text = printed("help", "training.epochs")

    assert "  training.epochs=20              Number of epochs.\n" in text
    assert "Range: at least 1, at most 10,000,000." in text


def test_one_group() -> None:
    text = printed("help", "model", "model=cnn4")

    assert text.startswith("model=baseline_cnn|cnn4|cnn5|crnn_meanteacher\n")
    assert "  cnn4              The baseline with a fourth convolutional layer" in text
    assert "model.units=100" in text
    assert "training.epochs" not in text


def test_a_topic_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "training.epoch"]) == 1

    assert capsys.readouterr().err == (
        "error: help training.epoch: no such verb, group or key; did you mean training.epochs?\n"
    )
