"""Search spaces in Hydra's grammar, and the resulting networks."""

from typing import Any

import optuna
import pytest
from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.initialize import initialize_config_dir
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from dcase_sweep.application.block_space import list_replaced, make_space
from dcase_sweep.config import check
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.sweep.optuna.space import Space, parse_parameter
from dcase_sweep.utils.errors import UserError

PARSER = OverridesParser.create()
BLOCKS = [
    {"filters": 16, "kernel": [7, 7], "pool": None, "dropout": 0.0},
    {"filters": 16, "kernel": [7, 7], "pool": [5, 5], "dropout": "${model.dropout}"},
]


def space(parameters: dict[str, str], of_blocks: dict[str, str] | None = None, **more: Any) -> Space:
    given: dict[str, Any] = {"blocks": BLOCKS, "depth": None, "shape": (40, 500), **more}
    return make_space(parameters, of_blocks, parser=PARSER, **given)


def trial(seed: int = 0) -> optuna.Trial:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("interval(0.1,0.5)", FloatDistribution(0.1, 0.5)),
        ("tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("tag(int,interval(1,8))", IntDistribution(1, 8)),
        ("range(2,6)", IntDistribution(2, 5)),
        ("range(8,33,8)", IntDistribution(8, 32, step=8)),
        ("range(0.0,0.5,0.1)", FloatDistribution(0.0, 0.4, step=0.1)),
        ("tag(log,range(1,9))", IntDistribution(1, 8, log=True)),
        ("choice(16,32)", CategoricalDistribution(["16", "32"])),
        ("16,32", CategoricalDistribution(["16", "32"])),
        ("choice([5,5],[2,5])", CategoricalDistribution(["[5,5]", "[2,5]"])),
    ],
)
def test_expressions_are_read_as_hydra_reads_them(expression: str, expected: Any) -> None:
    assert parse_parameter("x", expression, PARSER).distribution == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0.3", "only one value"),
        ("tag(fast,interval(0,1))", "unknown tag fast"),
        ("range(3,3)", "empty range"),
        ("tag(log,choice(8,16))", r"tag\(log\) has no meaning for a list"),
        ("tag(log,range(8,32,5))", "no steps of 5"),
        ("tag(log,range(0.1,1,0.1))", r"expected tag\(log,interval\(\)\)"),
        ("tag(int,range(0.1,1,0.1))", "expected whole numbers"),
    ],
)
def test_expressions_that_do_not_vary_as_they_say_are_rejected(expression: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_parameter("x", expression, PARSER)


def test_values_become_overrides() -> None:
    lines = space({"model.units": "choice(50,100)", "optimizer.lr": "tag(log,interval(1e-4,1e-2))"}).suggest(trial())

    assert lines[0] in ("model.units=50", "model.units=100")
    assert 1e-4 <= float(lines[1].removeprefix("optimizer.lr=")) <= 1e-2


def test_blocks_have_parameters_up_to_the_depth_only() -> None:
    of_blocks = {"filters": "choice(8,16)", "pool": "choice([1,1],[2,5])"}
    for seed in range(20):
        asked = trial(seed)
        space({"model.depth": "range(1,4)"}, of_blocks).suggest(asked)

        positions = {int(name.split(".")[2]) for name in asked.params if ".blocks." in name}
        assert positions == set(range(asked.params["model.depth"]))


def test_every_sampled_network_can_be_built() -> None:
    """Pools of 100 frames and 20 bands in any order are cut down to what is left of the map."""
    of_blocks = {"filters": "choice(8,16)", "pool": "choice([1,1],[4,100],[20,2],[5,5])"}
    searched = space({"model.depth": "range(2,6)", "model.dropout": "interval(0.0,0.5)"}, of_blocks)
    cut = 0
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        for seed in range(12):
            asked = trial(seed)
            experiment = check(compose("config", searched.suggest(asked)))  # builds the network, without weights

            assert len(experiment.model.blocks) == asked.params["model.depth"]
            for position, block in enumerate(experiment.model.blocks):
                sampled = asked.params[f"model.blocks.{position}.pool"]
                wanted = [int(size) for size in sampled.strip("[]").split(",")]
                pool = block["pool"] or [1, 1]
                assert pool[0] <= wanted[0]
                assert pool[1] <= wanted[1]
                cut += pool != wanted
    assert cut > 0


def test_a_depth_that_is_fixed_is_kept() -> None:
    asked = trial()
    space({}, {"filters": "choice(8,16)"}, depth=3).suggest(asked)

    assert sorted(asked.params) == [f"model.blocks.{position}.filters" for position in range(3)]


@pytest.mark.parametrize(
    ("pool", "expected"), [("choice(4,4)", [4, 4]), ("choice([2,2,2],[2,2,2])", [2, 2, 2]), ("choice([0,2])", [0, 2])]
)
def test_one_size_is_a_square_pool_and_what_is_none_is_left_to_the_check(pool: str, expected: list[int]) -> None:
    lines = space({}, {"pool": pool}, depth=1).suggest(trial())

    assert f"pool:[{','.join(map(str, expected))}]" in lines[-1].replace(" ", "")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model.depth": "interval(2,5)"}, "model.depth: 2.0 is not a number of blocks"),
        ({"model.depth": "range(0,3)"}, "model.depth: 0 is not a number of blocks"),
        ({"model.depth": "choice(2,all)"}, "model.depth: all is not a number of blocks"),
        ({"model": "choice(cnn4,cnn5)"}, "model: search.blocks varies the blocks of one model"),
        ({"model.blocks.0.kernel": "choice(3,5)"}, "model.blocks.0.kernel: search.blocks varies the blocks"),
        ({"model.blocks.0.filters": "choice(8,16)"}, "model.blocks.0.filters: search.blocks.filters varies it"),
    ],
)
def test_keys_that_contradict_the_blocks_are_rejected(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        space(parameters, {"filters": "choice(8,16)"})

    space({"model.depth": "choice(2,3)", "model.dropout": "interval(0,1)"}, {"filters": "choice(8,16)"})


def test_values_that_the_blocks_replace_are_found() -> None:
    keys = ["seed", "model.blocks.1.filters", "model.blocks.1.kernel", "model.blocks"]

    assert list_replaced(keys, {"filters": "choice(8,16)"}) == {"model.blocks.1.filters": "filters"}


def test_an_empty_space_and_blocks_of_nothing_are_rejected() -> None:
    with pytest.raises(UserError, match="nothing varies"):
        space({})
    with pytest.raises(UserError, match="no list of blocks"):
        space({}, {"filters": "choice(8,16)"}, blocks=[])
    with pytest.raises(UserError, match=r"search.blocks.width: no such part"):
        space({}, {"width": "choice(8,16)"})
