"""``status`` and the checks of ``join``."""

import json
from pathlib import Path

import optuna
import pytest

from dcase_sweep.__main__ import main
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.study import open_storage
from tests.conftest import shown_at

EXPERIMENTS = "dcase_sweep.application.experiments.Experiments"


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage with a complete study and one of another program."""
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    place = str(tmp_path / "optuna.log")
    for name, wanted, application in (("demo", 2, EXPERIMENTS), ("other", 9, "theirs.Application")):
        study = optuna.create_study(study_name=name, storage=open_storage(place), direction="maximize")
        study.set_metric_names(["best/validation/accuracy"])
        study.set_user_attr(
            records.COMMAND, {"version": "0.0.1", "application": application, "n_trials": wanted, "hydra": {}}
        )
        for value in (0.5, 0.75):
            trial = study.ask()
            records.owners.sign(trial)
            study.tell(trial, value)
    return place


def test_all_studies_have_a_row(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", f"storage={where}"]) == 0

    title, _, demo, other = capsys.readouterr().out.splitlines()
    assert title.split() == ["study", "state", "done", "wanted", "running", "failed", "best", "trials/h", "left"]
    assert demo.split()[:7] == ["demo", "complete", "2", "2", "0", "0", "0.75"]
    assert other.split()[:4] == ["other", "idle", "2", "9"]


def test_one_study_fits_a_terminal(
    where: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with shown_at(80, monkeypatch):
        assert main(["status", "other", f"storage={where}"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "state     idle; 2 of 9 trials" in lines
    assert "best      best/validation/accuracy 0.75, trial 1" in lines
    assert any(line.startswith("continue  ") and line.endswith("join other") for line in lines)
    assert max(map(len, (line for line in lines if not line.startswith("storage")))) <= 86


def test_json_has_the_same(where: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", where)
    assert main(["status", "--json"]) == 0

    demo, other = json.loads(capsys.readouterr().out)["studies"]
    assert (demo["study"], demo["state"], demo["done"], demo["trials"]) == ("demo", "complete", 2, {"finished": 2})
    assert demo["best"] == [{"metric": "best/validation/accuracy", "value": 0.75, "trial": 1}]
    assert other["remaining_seconds"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status", "demo", "second"], "error: second: expected one study at most"),
        (["status", "storage="], "error: storage=: no value; expected storage=VALUE"),
        (["status", "nope"], "error: nope: no such study in {where}; expected demo, other"),
        (["join", "nope"], "error: nope: no such study in {where}; expected demo, other"),
        (["join", "demo"], "error: demo: begun by dcase_sweep 0.0.1, and this is "),
        (["join", "other"], "error: other: a search of another program; run the same command"),
        (["join", "demo", "workers=0"], "error: workers=0: expected a whole number of at least 1"),
        (["join", "demo", "fast"], "error: fast: expected KEY=VALUE"),
        (["join"], "error: the following arguments are required: STUDY"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str], message: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [] if "storage=" in words or words == ["join"] else [f"storage={where}"]
    assert main([*words, *more]) == 1

    error = capsys.readouterr().err
    assert error.startswith(message.format(where=where))
    assert error.count("\n") == 1


def test_a_missing_storage_is_told_and_not_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)

    for words in (["status"], ["join", "demo"]):
        assert main(words) == 1
        assert capsys.readouterr().err.startswith("error: mlruns/optuna.log: no studies there; expected storage=")
    assert list(tmp_path.iterdir()) == []
