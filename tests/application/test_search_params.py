"""The varied keys of a search: those of its file, and what the command line makes of them."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dcase_sweep.application.experiments import Experiments
from dcase_sweep.application.sweepers import OptunaSweeper
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.utils.errors import UserError

PARAMS = {"optimizer.lr": "interval(1e-4,1e-3)", "model.dropout": "interval(0,0.5)"}


def split(arguments: list[str], params: dict[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
    sweeper = OptunaSweeper(search={"params": params or PARAMS}, n_trials=1, workers=1, sampler={}, pruner={})
    sweeper.application = Experiments()
    sweeper.parser = OverridesParser.create()
    return sweeper.split(["model=cnn4", *arguments])


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_folder() / "search").iterdir()))
def test_the_keys_of_each_search_file_are_those_that_vary(name: str) -> None:
    loaded: Any = OmegaConf.to_container(OmegaConf.load(conf_folder() / "search" / f"{name}.yaml"))
    params = loaded["hydra"]["sweeper"]["search"]["params"]

    assert split([], params) == (["model=cnn4"], params)


def test_former_names_are_replaced_and_choose_their_augmentation() -> None:
    former = {"mean_teacher.ema": "choice(0.9,0.99)", "augmentation.mixup_alpha": "interval(0.1,0.4)"}

    assert split([], former) == (
        ["augmentation=[mixup]", "model=cnn4"],
        {"mean_teacher.ema_decay": "choice(0.9,0.99)", "augmentation.mixup.alpha": "interval(0.1,0.4)"},
    )


@pytest.mark.parametrize("word", ["model.dropout=0.3", "++model.dropout=0.3", "~model.dropout"])
def test_a_key_with_a_value_on_the_command_line_does_not_vary(word: str) -> None:
    fixed, varied = split([word])

    assert fixed == ["model=cnn4", word]
    assert list(varied) == ["optimizer.lr"]


def test_a_key_that_the_command_line_varies_varies_once() -> None:
    _, varied = split(["++model.dropout=choice(0.1,0.2)"])

    assert varied == {"optimizer.lr": PARAMS["optimizer.lr"], "++model.dropout": "choice(0.1,0.2)"}


def test_several_searches_are_refused() -> None:
    with pytest.raises(UserError, match=r"^search=a,b: several values; expected one"):
        split(["search=a,b"])
