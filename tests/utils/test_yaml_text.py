"""Configurations as YAML, compared with OmegaConf's own writing."""

from typing import Any

import pytest
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf

from dcase_sweep.utils import yaml_text
from dcase_sweep.utils.yaml_text import to_yaml

CONFIGURATION = {
    "number": 1,
    "small": 1e-7,
    "large": 1e22,
    "texts": ["1", "1e3", "yes", "null", "~", "", " a ", "ü #: {x}", "a: b", "0x1f", "1_000", "on", "'", '"'],
    "lines": "one\ntwo\n",
    "reference": "${number}",
    "missing": "???",
    "nothing": None,
    "empty": {"list": [], "dict": {}},
    "nested": [{"pool": [2, 2], "dropout": "${small}"}, {"pool": None}],
    "kind": RunMode.MULTIRUN,
    "path": "/data/" + "long/" * 30,
}


def test_the_text_is_that_of_omegaconf() -> None:
    config = OmegaConf.create(CONFIGURATION)

    assert to_yaml(config) == OmegaConf.to_yaml(config)
    assert OmegaConf.create(to_yaml(config)) == OmegaConf.create(OmegaConf.to_yaml(config))


def test_plain_containers_are_written_alike() -> None:
    plain = {name: value for name, value in CONFIGURATION.items() if name != "kind"}

    assert to_yaml(plain) == OmegaConf.to_yaml(OmegaConf.create(plain))


def test_long_texts_are_read_as_they_were() -> None:
    text = "  first line\n\n" + "word: 'quoted' \\ $APP " * 40

    assert OmegaConf.create(to_yaml(OmegaConf.create({"text": text}))).text == text


def test_without_libyaml_the_text_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = to_yaml(OmegaConf.create(CONFIGURATION))
    module: Any = yaml
    monkeypatch.setattr(module, "__with_libyaml__", False)
    yaml_text._make_dumper.cache_clear()
    try:
        assert to_yaml(OmegaConf.create(CONFIGURATION)) == expected
    finally:
        yaml_text._make_dumper.cache_clear()
