"""What is parsed once: Hydra reads the same forty files for each command, by parsers in pure Python."""

import copy
import io
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf, base

_load = OmegaConf.load
_parsed: dict[str, DictConfig | ListConfig] = {}


def parse_once() -> None:
    """Let OmegaConf parse each text and interpolation once in this process and in those that are forked from it."""
    OmegaConf.load = staticmethod(_load_once)  # type: ignore[method-assign]
    base.parse = lru_cache(maxsize=10_000)(base.parse)  # type: ignore[attr-defined]


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
