"""User-defined classes with any annotations."""

import sys
from pathlib import Path

import pytest

from dcase_sweep.config import Experiment, build_model, flatten
from dcase_sweep.utils.errors import UserError
from tests.composing import composed

MODELS = """
from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

if TYPE_CHECKING:
    from somewhere import Unknown


class Base(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=2)


class Typed(Base):
    kind = "scenes"

    def __init__(
        self,
        input_shape: tuple[int, int],
        classes: int,
        width: int,
        act: Literal["relu", "tanh"] = "relu",
        size: int | str = 8,
        norm: type[nn.Module] = nn.BatchNorm2d,
        head: nn.Module | None = None,
        untyped=3,
    ) -> None:
        super().__init__()
        if act not in ("relu", "tanh"):
            raise ValueError(f"act={act}: expected relu or tanh")
        self.head, self.norm = head, norm


class Unresolved(Base):
    kind = "scenes"

    def __init__(self, input_shape, classes, thing: Unknown = None, width: int = 4) -> None:
        super().__init__()


class Open(Base):
    kind = "scenes"

    def __init__(self, input_shape, classes, **options) -> None:
        super().__init__()
        self.options = options


class Silent(Base):
    def __init__(self, input_shape, classes) -> None:
        super().__init__()
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("users_models", None)


def of(name: str, *overrides: str) -> Experiment:
    model = ["~model", f"+model._target_=users_models.{name}", *(f"+model.{each}" for each in overrides)]
    return composed("data=tau2020", "data.root=/tau", *model)


def test_types_that_no_configuration_holds_are_left_to_the_constructor() -> None:
    experiment = of("Typed", "width=4", "act=tanh", "size=large", "untyped={a:[1]}")

    model = build_model(experiment, classes=2)
    assert model.norm.__name__ == "BatchNorm2d"  # its own default, which no configuration names
    assert flatten(experiment.model) == {
        "_target_": "users_models.Typed",
        "width": 4,
        "act": "tanh",
        "size": "large",
        "head": None,
        "untyped.a": [1],
    }


def test_an_object_within_a_model_is_made_by_its_own_target() -> None:
    model = build_model(
        of("Typed", "width=4", "head={_target_:torch.nn.Linear,in_features:3,out_features:5}"), classes=2
    )

    assert (model.head.in_features, model.head.out_features) == (3, 5)


def test_annotations_that_exist_for_type_checkers_alone_are_accepted() -> None:
    assert flatten(of("Unresolved", "width=5").model)["width"] == 5


def test_arguments_of_any_name_reach_a_constructor_that_takes_them() -> None:
    assert build_model(of("Open", "whatever=[1,2]", "other=x"), classes=2).options == {"whatever": [1, 2], "other": "x"}


@pytest.mark.parametrize(
    ("name", "overrides", "says"),
    [
        ("Typed", ["width=wide"], "model.width: Value 'wide' of type 'str' could not be converted to Integer"),
        ("Typed", [], "model.width: no value; expected one for users_models.Typed"),
        ("Typed", ["width=4", "acr=tanh"], "model.acr: no such key; did you mean model.act?"),
        ("Typed", ["width=4", "act=gelu"], "model.act=gelu: expected relu or tanh"),
        (
            "Typed",
            ["width=4", "head={_target_:torch.nn.Linear,in_features:3}"],
            "model.head: Linear.__init__() missing",
        ),
        ("Typed", ["width=4", "head={_target_:torch.nn.Liner}"], "model.head: Error loading 'torch.nn.Liner'"),
        (
            "Silent",
            [],
            'model._target_=users_models.Silent: has no attribute kind; add to class Silent: kind = "',
        ),
    ],
)
def test_errors_are_reported_with_the_key(name: str, overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        of(name, *overrides)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
