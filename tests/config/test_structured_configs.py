"""Dataclasses of a user's project that Hydra's ``ConfigStore`` offers as choices of a group."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError


@dataclass
class Baseline:
    _target_: str = "dcase_sweep.models.cnn.CNN"
    depth: int | None = None
    dropout: float = 0.2
    units: int = 32
    blocks: list[Any] = field(
        default_factory=lambda: [{"filters": 8, "kernel": [3, 3], "pool": [4, 100], "dropout": 0.0}]
    )


@pytest.fixture(autouse=True)
def stored() -> Iterator[None]:
    """The dataclass as ``model=typed`` while a test runs."""
    store = ConfigStore.instance()
    store.store(group="model", name="typed", node=Baseline)
    yield
    store.repo["model"].pop("typed.yaml")


def test_a_dataclass_is_a_choice_of_a_group() -> None:
    (composed,) = compose_experiments(["model=typed", "model.units=48"])

    assert (composed.experiment.model.units, composed.experiment.model.dropout) == (48, 0.2)


def test_a_file_may_change_the_values_of_a_dataclass(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "wide.yaml").write_text("defaults:\n  - typed\nunits: 96\n")

    (composed,) = compose_experiments(["model=wide"], tmp_path)

    assert composed.experiment.model.units == 96


def test_a_misspelt_key_of_a_dataclass_is_named() -> None:
    with pytest.raises(UserError, match=r"^model\.unit: no such key; did you mean model\.units\?"):
        compose_experiments(["model=typed", "model.unit=48"])
