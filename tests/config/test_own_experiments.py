"""Experiment files of a user's own with keys that do not fit what is chosen."""

from pathlib import Path

import pytest

from dcase_sweep.config import front_end_keys
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError

HEADER = "# @package _global_\n"


def write(folder: Path, text: str) -> Path:
    """Write an experiment ``mine`` to a folder of configuration files."""
    (folder / "conf/experiment").mkdir(parents=True)
    (folder / "conf/experiment/mine.yaml").write_text(text)
    return folder / "conf"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            HEADER + "model:\n  blocks:\n    2: {pool: [4, 5]}\n",
            "model.blocks: keys, where another file has a list; write the whole list, or model.blocks.0=VALUE on the",
        ),
        (HEADER + "augmentation: [mixup]\n", "augmentation: a list, where another file has keys; write its keys"),
    ],
)
def test_keys_for_a_list_name_the_file_and_the_key(text: str, says: str, tmp_path: Path) -> None:
    conf = write(tmp_path, text)

    with pytest.raises(UserError) as caught:
        compose_experiments(["+experiment=mine"], conf)

    assert str(caught.value).startswith(f"{conf / 'experiment/mine.yaml'}: {says}")


def test_a_setting_of_one_front_end_does_not_stop_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(front_end_keys, "_noticed", set())
    conf = write(tmp_path, HEADER + "front_end:\n  f_max: 8000.0\n")

    chosen = compose_experiments(["+experiment=mine", "front_end=log_mel,pcen,cqt"], conf)

    assert [getattr(each.experiment.front_end, "f_max", None) for each in chosen] == [8000.0, 8000.0, None]
    assert capsys.readouterr().err.splitlines() == [
        "note: front_end.f_max=8000.0 is for another front end and is not used: CQT has no such key"
    ]


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        (HEADER + "front_end:\n  f_mx: 8000.0\n", [], "front_end.f_mx: no such key; did you mean front_end.f_max?"),
        (HEADER + "seed: 1\n", ["front_end=cqt", "+front_end.f_max=9"], "front_end.f_max: no such key"),
    ],
)
def test_a_misspelt_key_and_one_on_the_command_line_are_refused(
    text: str, words: list[str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"^{says}"):
        compose_experiments(["+experiment=mine", *words], write(tmp_path, text))
