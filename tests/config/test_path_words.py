"""Paths on the command line: characters with a meaning in Hydra's grammar are quoted."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.config.path_words import quote_paths, typed_word
from dcase_sweep.utils.errors import UserError

PATHS = (
    "/data/녹음/TAU 2020",
    "/data/[old] (copy)/TAU",
    "[old]",
    "/data/a,b/TAU",
    "runs/epoch=156-step=18525.ckpt",
    "/data/it's/#1 & more!",
    "/data/{x}/50%",
    "1e3",
    "true",
    "C:\\Users\\me\\TAU",
    "/données/été",
)


def read(word: str) -> object:
    """Return the value of a word as parsed by Hydra."""
    return OverridesParser.create().parse_override(word).value()


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_a_path_is_typed_plainly(path: str) -> None:
    for key in ("data.root", "resume", "mean_teacher.checkpoint", "compression.start", "store.root", "hydra.run.dir"):
        (word,) = quote_paths([f"{key}={path}"], is_sweep=False)

        assert read(word) == path


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/수진")

    words = quote_paths(["data.root=~/TAU", "hydra.run.dir=~/out/${now:%Y}", "--config-dir=~/conf"], is_sweep=False)

    assert read(words[0]) == "/home/수진/TAU"
    assert words[1:] == ["hydra.run.dir='/home/수진/out/${now:%Y}'", "--config-dir=/home/수진/conf"]


@pytest.mark.parametrize(
    "word",
    [
        "data.root='/data/a,b'",
        'resume="epoch=1.ckpt"',
        "hydra.run.dir=outputs/${now:%Y-%m-%d}",
        "data.root=/a\\ b",
        "resume=null",
        "model=cnn4,cnn5",
        "hydra.job_logging.root={level:DEBUG}",
        "model.weights_file=[a,b]",
        "hydra.searchpath=[conf,pkg://mine.conf]",
        "~data.root",
        "data.root=",
    ],
)
def test_words_that_hydra_can_parse_are_not_changed(word: str) -> None:
    assert quote_paths([word], is_sweep=False) == [word]


def test_a_list_of_paths_is_a_sweep() -> None:
    words = quote_paths(["data.root=/a,~x y/é,'/b,c'", "hydra.sweep.dir=/out/a,b"], is_sweep=True)

    assert words == ["data.root=/a,'~x y/é','/b,c'", "hydra.sweep.dir='/out/a,b'"]
    assert quote_paths(["data.root=choice('/a','/b')"], is_sweep=True) == ["data.root=choice('/a','/b')"]


def test_keys_of_the_users_own_and_names() -> None:
    words = quote_paths(
        [
            "model.weights_file=가/w.pt",
            "tracking.run_name=첫 실험",
            "hydra.searchpath=[내 설정,conf]",
            "model.title=~x",
        ],
        is_sweep=False,
    )

    assert words[:3] == [
        "model.weights_file='가/w.pt'",
        "tracking.run_name='첫 실험'",
        "hydra.searchpath=['내 설정',conf]",
    ]
    assert words[3] == "model.title=~x"


def test_an_experiment_with_such_a_path(tmp_path: Path) -> None:
    root = f"{tmp_path}/[녹음] a=b, c"

    (found,) = compose_experiments(["data=tau2020", f"data.root={root}", "model=cnn4"])

    assert found.experiment.data.root == root
    words = shlex.split(found.command)
    (again,) = compose_experiments(words[3:])
    assert again.experiment.data.root == root


def test_a_sweep_has_several_paths() -> None:
    found = compose_experiments(["data=tau2020", "data.root=/a b,/c"], is_sweep=True)

    assert [each.experiment.data.root for each in found] == ["/a b", "/c"]


@pytest.mark.parametrize("text", [*PATHS, "a,b", " x", "'x'", "${x}", "it's ${y}"], ids=range(len(PATHS) + 5))
@pytest.mark.parametrize("key", ["resume", "model.title"])
def test_the_word_that_is_shown_can_be_typed(key: str, text: str) -> None:
    (typed,) = shlex.split(typed_word(key, text))

    (word,) = quote_paths([typed], is_sweep=True)

    assert str(read(word)).replace("\\${", "${") == text


def test_the_message_shows_the_word_to_type() -> None:
    with pytest.raises(UserError) as refused:
        compose_experiments(["task.title=[Wald"])

    (word,) = shlex.split(str(refused.value).partition("type ")[2])
    assert read(word) == "[Wald"
