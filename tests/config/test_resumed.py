"""The overrides that ``resume=FOLDER`` uses from the folder."""

import shlex
from pathlib import Path

import pytest
import yaml

from dcase_sweep.config.resumed import with_words_of_folder
from dcase_sweep.utils.errors import UserError


def make_run(folder: Path, *words: str) -> Path:
    """A folder as a run leaves it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(list(words), allow_unicode=True), encoding="utf-8")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.ckpt").touch()
    return folder


@pytest.mark.parametrize("named", ["", "checkpoints", "checkpoints/last.ckpt"])
def test_the_choices_and_values_of_the_folder(named: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "model=cnn5", "task='1a'", "optimizer.lr=0.01", "augmentation=[roll,mixup]")

    words = with_words_of_folder([f"resume={folder / named}", "optimizer.lr=0.1"])

    assert words == [
        "model=cnn5",
        "task='1a'",
        "augmentation=[roll,mixup]",
        f"resume={folder / named}",
        "optimizer.lr=0.1",
    ]


def test_places_and_the_machine_are_those_of_the_command_line(tmp_path: Path) -> None:
    folder = make_run(
        *(tmp_path / "run", "model=cnn5", "tracking.folder=/etc", "++tracking.parent=0f", "hydra.run.dir=/etc"),
        *("store.root=/x", "hardware.threads=1", "resume=other", "hardware=gpu"),
    )

    assert with_words_of_folder([f"resume={folder}"])[:-1] == ["model=cnn5", "hardware=gpu"]


@pytest.mark.parametrize(
    "word",
    [
        "data.root=/data/녹음",
        "model._target_=os.system",
        "loss={_target_:os.system}",
        "model=../../x",
        "data.validation_list=../x.csv",
        "data.tables=['a','/etc/passwd']",
        "optimizer.lr=${oc.env:HOME}",
        "compression.start=other",
    ],
)
def test_overrides_that_only_the_command_line_may_set_are_reported(word: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "model=cnn5", word)

    with pytest.raises(
        UserError, match="a file is not trusted to say which code or recordings are used; add "
    ) as refused:
        with_words_of_folder([f"resume={folder}"])

    (added,) = shlex.split(str(refused.value).partition("; add ")[2])
    assert with_words_of_folder([f"resume={folder}", added])[-1] == added


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    assert with_words_of_folder([f"resume={tmp_path}", "seed=1"]) == [f"resume={tmp_path}", "seed=1"]
    assert with_words_of_folder(["resume=null"]) == ["resume=null"]


@pytest.mark.parametrize("text", ["{a: b}", "- [1]", '- "a=\\x1b"', "[" * 100, "- &a [*a]"])
def test_a_file_that_is_no_list_of_overrides(text: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / ".hydra/overrides.yaml").write_text(text)

    with pytest.raises(UserError, match=r"overrides\.yaml: "):
        with_words_of_folder([f"resume={folder}"])
