"""The version, the help and the shown configurations of the command line."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore

from dcase_sweep import __version__
from dcase_sweep.__main__ import VERBS, main
from dcase_sweep.config.arguments import check_supported
from dcase_sweep.config.command_line import jobs_to_show, put_options_last


@dataclass
class Sampler:
    """The settings of a sampler in another plugin."""

    _target_: str = "other.TPESampler"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dcase_sweep {__version__}\n"


def test_ctrl_c_before_anything_has_begun_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("dcase_sweep.cli.main.main", interrupt)

    assert main([]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        assert main(["help", verb]) == 0

    assert f"dcase_sweep {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (
            ["--config-dir", "conf", "predict", "outputs/run", "a b.wav"],
            "predict --config-dir conf outputs/run 'a b.wav'",
        ),
        (["model=cnn4", "complexity"], "complexity model=cnn4"),
        (["--config-dir", "conf", "help", "model"], "help model --config-dir conf"),
    ],
)
def test_a_verb_after_options_is_answered_with_the_command(
    words: list[str], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1

    verb = typed.partition(" ")[0]
    assert capsys.readouterr().err == f"error: {verb}: a verb comes first: python -m dcase_sweep {typed}\n"


@pytest.mark.parametrize("before", [None, "0"])
def test_two_commands_of_a_process_describe_their_errors(
    before: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    if before is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", before)

    assert [main(["model=cnn6"]), main(["model=cnn6"])] == [1, 1]

    assert capsys.readouterr().err.count("error: model=cnn6") == 2
    assert os.environ.get("HYDRA_FULL_ERROR") == before


def test_a_folder_may_have_the_name_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config-dir", "predict", "--cfg", "job"]) == 1

    assert "--config-dir predict: no such folder" in capsys.readouterr().err


def test_the_jobs_of_a_sweep_are_shown() -> None:
    assert jobs_to_show(["-m", "model=cnn4,cnn5", "--cfg", "job", "seed=1"]) == [
        ["--cfg", "job", "model=cnn4", "seed=1"],
        ["--cfg", "job", "model=cnn5", "seed=1"],
    ]
    assert jobs_to_show(["--multirun", "--cfg=job", "search=scene_cnn", "model.dropout=interval(0,1)", "seed=1"]) == [
        ["--cfg=job", "search=scene_cnn", "seed=1"]
    ]
    assert jobs_to_show(["-m", "seed=1,2"]) == [["-m", "seed=1,2"]]


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (["-m", "task=1a,4", "-p", "model._target_"], ["cnn.CNN", "crnn.CRNN"]),
        (["task=4", "-p", "model._target_"], ["crnn.CRNN"]),
        (["-p", "model", "task=4"], ["crnn.CRNN"]),
    ],
)
def test_a_task_is_shown_with_its_model(
    words: list[str], targets: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["dcase_sweep"])

    assert main([*words, "--cfg", "job"]) == 0

    assert re.findall(r"dcase_sweep\.models\.(\w+\.\w+)", capsys.readouterr().out) == targets


def test_a_plugin_with_the_names_of_this_package_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """hydra-optuna-sweeper, which lightning-hydra-template installs, has an ``optuna`` and a ``tpe`` too."""
    monkeypatch.setattr(sys, "argv", ["dcase_sweep"])
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", deepcopy(store.repo))
    other = {"_target_": "other.OptunaSweeper", "defaults": [{"sampler": "tpe"}], "n_jobs": 2}
    store.store(group="hydra/sweeper", name="optuna", node=other, provider="other")
    store.store(group="hydra/sweeper/sampler", name="tpe", node=Sampler, provider="other")

    assert main(["-m", "search=scene_cnn", "--cfg", "hydra", "-p", "hydra.sweeper"]) == 0

    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["workers"], shown["sampler"]["multivariate"]) == (1, True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--config-name", "other"], "--config-name other: no such file; leave it out, or name its folder with"),
        (["--config-path", "here"], "--config-path here: relative to no folder; expected {folder}/here"),
        (["-cp", "nowhere"], "--config-path nowhere: relative to no folder; expected an absolute path, or pkg://"),
    ],
)
def test_another_primary_configuration_that_is_not_found(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["dcase_sweep"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()

    assert main(words) == 1

    assert capsys.readouterr().err.startswith(f"error: {line.format(folder=tmp_path)}")


def test_the_files_of_a_pattern_are_shown(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/cnn9.yaml").touch()
    words = ["-m", "model=glob(cnn*,exclude=[cnn5])", "--config-dir", str(tmp_path), "--cfg", "job"]

    shown = ["--config-dir", str(tmp_path), "--cfg", "job"]
    assert jobs_to_show(words) == [[*shown, "model=cnn4"], [*shown, "model=cnn9"]]
    check_supported(words)


def test_options_may_come_between_overrides() -> None:
    assert put_options_last(["seed=1", "--config-dir", "conf", "-m", "model=cnn4"]) == [
        *("seed=1", "model=cnn4"),
        *("--config-dir", "conf", "-m"),
    ]
    assert put_options_last(["--info", "searchpath", "seed=1"]) == ["seed=1", "--info", "searchpath"]
    assert put_options_last(["--info", "seed=1"]) == ["seed=1", "--info"]
    assert put_options_last(["--cfg=job", "seed=1"]) == ["seed=1", "--cfg=job"]


def test_help_and_configurations_of_the_real_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "dcase_sweep", "-m", "model=cnn4,cnn5", "--cfg", "job"],
        capture_output=True,
        text=True,
        check=True,
    )
    help = subprocess.run([sys.executable, "-m", "dcase_sweep", "help"], capture_output=True, text=True, check=True)

    assert [len(each["model"]["blocks"]) for each in yaml.safe_load_all(shown.stdout)] == [4, 5]
    assert all(f"\n  {verb} " in help.stdout for verb in VERBS)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=${seed}", "seed: Recursive interpolation detected"),
        ("seed=${nope}", "seed: Interpolation key 'nope' not found"),
        ("hydra.run.dir=${nope}", "hydra.run.dir: Interpolation key 'nope' not found"),
    ],
)
def test_the_key_of_an_interpolation_without_a_value_is_named(
    word: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main([word]) == 1

    printed = capsys.readouterr()
    assert f"error: {message}" in [*printed.out.splitlines(), *printed.err.splitlines()]
