"""The source code on which a search depends."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.application.sources import hash_search_sources


def test_components_that_trials_choose_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("first_net", "second_net", "third_net"):
        (tmp_path / f"{name}.py").write_text("class Net: pass")

    def compose(overrides: object) -> DictConfig:
        (override,) = overrides  # type: ignore[misc]
        key, _, value = str(override).partition("=")
        target = {"a": "first_net.Net", "b": "second_net.Net"}[value] if key == "model" else value
        return OmegaConf.create({"model": {"_target_": target, "units": "${nowhere}"}})

    varied = {"model": "choice(a,b)", "data._target_": "choice(third_net.Net)", "seed": "interval(0,3)"}
    found = hash_search_sources(
        {"model._target_": "dcase_sweep.models.cnn.CNN"}, varied, OverridesParser.create(), compose
    )

    assert list(found) == ["first_net", "second_net", "third_net"]
