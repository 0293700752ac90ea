"""Values of a search space that no trial can have."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException

from dcase_sweep.sweep.optuna.space import make_space
from dcase_sweep.sweep.optuna.space_check import check_values
from dcase_sweep.utils.errors import UserError

PARSER = OverridesParser.create()


def check(expressions: Mapping[str, str], is_valid: Callable[[dict[str, str]], object]) -> list[dict[str, str]]:
    """Check a space, and return what was composed."""
    seen = []

    def compose(overrides: Sequence[str]) -> None:
        values = {key: value for key, _, value in (line.partition("=") for line in overrides)}
        seen.append(values)
        is_valid(values)

    check_values(make_space(expressions, PARSER), compose)
    return seen


def below_one(values: dict[str, str]) -> None:
    if not 0 <= float(values["model.dropout"]) < 1:
        raise UserError(f"model.dropout={values['model.dropout']}: expected a probability from 0 to below 1")


def test_every_choice_and_both_ends_of_ranges_are_checked() -> None:
    seen = check({"x": "choice(a,b,c)", "y.z": "range(2,9,2)", "w.v": "interval(0,1)"}, lambda values: None)

    assert {values["x"] for values in seen} == {"a", "b", "c"}
    assert {"2", "8"} <= {values["y.z"] for values in seen}
    assert {"0.0", "1.0"} <= {values["w.v"] for values in seen}
    assert len(seen) < 10


@pytest.mark.parametrize(
    "expression", ["interval(0,1.5)", "interval(-0.5,0.5)", "choice(0.1,0.2,1)", "range(0.8,1.3,0.2)"]
)
def test_a_value_that_its_key_cannot_have_is_refused(expression: str) -> None:
    with pytest.raises(UserError, match=r"^model\.dropout=\S+: expected a probability"):
        check({"model.dropout": expression, "optimizer.lr": "interval(0,1)"}, below_one)


def test_the_end_of_an_interval_may_be_exclusive() -> None:
    check({"model.dropout": "interval(0,1)"}, below_one)


def test_a_key_of_which_another_one_takes_its_value_is_found_by_the_value() -> None:
    def of_block(values: dict[str, str]) -> None:
        if float(values["model.dropout"]) >= 1:
            raise UserError(f"model.blocks[1].dropout={float(values['model.dropout'])}: expected below 1")

    with pytest.raises(UserError, match=r"^model\.dropout=1\.5: model\.blocks\[1\]\.dropout=1\.5: expected"):
        check({"model.dropout": "interval(0,1.5)"}, of_block)


def test_values_that_are_invalid_in_some_combinations_only_are_left_to_the_search() -> None:
    def fits(values: dict[str, str]) -> None:
        if int(values["a.ramp"]) > int(values["a.epochs"]):
            raise UserError(f"a.ramp={values['a.ramp']}: expected at most a.epochs={values['a.epochs']}")
        if values["a.depth"] == "5" and values["a.epochs"] == "20":
            raise UserError("network: too large")

    check({"a.ramp": "choice(5,50)", "a.epochs": "choice(20,100)", "a.depth": "range(2,6)"}, fits)


def test_limits_that_are_never_kept_are_left_to_the_search() -> None:
    def reject(values: dict[str, str]) -> None:
        raise UserError("network: too large")

    check({"a.depth": "range(2,6)"}, reject)


def test_a_choice_of_a_group_that_never_fits_is_refused_with_its_reason() -> None:
    def fits(values: dict[str, str]) -> None:
        if values["model"] == "crnn":
            raise UserError("search.objective=best/x: no such metric of a run")

    with pytest.raises(UserError, match=r"^model=crnn: search\.objective=best/x: no such metric"):
        check({"model": "choice(cnn,crnn)", "a.b": "interval(0,1)"}, fits)


def test_a_choice_without_a_key_that_varies_is_refused() -> None:
    def compose(values: dict[str, str]) -> None:
        if values["model"] == "crnn":
            raise ConfigCompositionException("Could not override 'model.units'.")

    with pytest.raises(ConfigCompositionException):
        check({"model.units": "choice(8,16)", "model": "choice(cnn,crnn)"}, compose)
