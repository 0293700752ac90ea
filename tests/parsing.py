"""Configuration files that are parsed once: Hydra reads the same forty for each command, by a parser in pure Python."""

import copy
import io
from pathlib import Path
from typing import IO, Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

_load = OmegaConf.load
_parsed: dict[str, DictConfig | ListConfig] = {}


def parse_once() -> None:
    """Let OmegaConf parse each text once in this process and in those that are forked from it."""
    OmegaConf.load = staticmethod(_load_once)  # type: ignore[method-assign]


def _load_once(file_: str | Path | IO[Any]) -> DictConfig | ListConfig:
    if isinstance(file_, str | Path):
        with Path(file_).open(encoding="utf-8") as opened:
            return _load_once(opened)
    text = file_.read()
    if text not in _parsed:
        try:
            _parsed[text] = _load(io.StringIO(text))
        except yaml.YAMLError:
            file_.seek(0)
            return _load(file_)  # raises the error with the name of the file
    return copy.deepcopy(_parsed[text])
