"""Validation of the jobs of a sweep, which differ in few values."""

import random
from collections.abc import Callable, Iterator
from unittest import mock

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir
from omegaconf import DictConfig

from dcase_sweep.config import Experiment, check, flatten, repeated, value_checks
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.repeated import RepeatedCheck
from dcase_sweep.utils.errors import UserError


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[DictConfig]:
    """The configurations that were converted as a whole."""
    found: list[DictConfig] = []
    whole = repeated.convert
    monkeypatch.setattr(repeated, "convert", lambda composed: (found.append(composed), whole(composed))[1])
    return found


def job(*overrides: str) -> DictConfig:
    return compose("config", ["data=demo", *overrides])


TASKS = {"1a": ["task=1a"], "4": ["task='4'", "model=crnn_meanteacher"]}
#: Overrides of one key each, with values that are valid.
VALUES = {
    "1a": {
        "seed": ["0", "1", "2"],
        "optimizer.lr": ["0.1", "1", "1e-4"],
        "training.epochs": ["3", "9"],
        "training.adam_eps": ["1e-5", "1e-7"],  # the optimizer refers to it
        "training.batch_size": ["8", "16"],
        "model.dropout": ["0.1", "0", "0.5"],  # the blocks refer to it
        "model.depth": ["null", "2"],
        "data.seconds": ["10.0", "5.0"],
        "front_end.n_mels": ["40", "64"],
        "front_end.store": ["true", "false"],
        "hardware.threads": ["1", "2"],
        "tracking.run_name": ["a", "b"],
        "scheduler": ["constant", "cosine"],
        "augmentation": ["[]", "[mixup]"],
        "model.blocks": [
            "[{filters: 8, kernel: [3, 3], pool: [2, 2], dropout: 0.1}]",
            "[{filters: 4, kernel: [5, 3], pool: [4, 2], dropout: '${model.dropout}'}]",
            "[{filters: 4, kernel: 5, pool: null, dropout: 0}, {filters: 8, kernel: [3, 3], pool: [4, 2]}]",
            "[{filters: 4, kernel: [3, 5], pool: '${model.blocks.1.kernel}', dropout: '${model.dropout}'},"
            " {filters: 16, kernel: [3, 3], dropout: '${model.blocks.0.dropout}'}]",
            "[{filters: '${oc.env:DCASE_SWEEP_FILTERS}', kernel: [3, 3]}]",  # a text, which is refused
            "[]",
        ],
    },
    "4": {
        "seed": ["0", "1"],
        "mean_teacher.ramp_epochs": ["1", "2"],  # the scheduler refers to it
        "mean_teacher.median_filter": ["7", "9"],
        "evaluation.thresholds": ["20", "30"],
        "optimizer.lr": ["1e-3", "2e-3"],
    },
}


def describe(validate: Callable[[DictConfig], Experiment], composed: DictConfig) -> str:
    """Return the experiment with the types of its numbers, or the message."""
    try:
        return repr(validate(composed))
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("task", list(VALUES))
def test_jobs_are_validated_as_one_by_one(task: str, converted: list[DictConfig]) -> None:
    rng, checks = random.Random(0), RepeatedCheck()
    for _ in range(16):
        keys = rng.sample(list(VALUES[task]), 3)
        composed = job(*TASKS[task], *(f"{key}={rng.choice(VALUES[task][key])}" for key in keys))
        assert describe(checks.check, composed) == describe(check, composed)
    assert len(converted) < 16


def test_lists_of_mappings_are_values_whatever_their_length(converted: list[DictConfig]) -> None:
    checks, rng = RepeatedCheck(), random.Random(0)
    for _ in range(12):
        blocks = [
            f"{{filters:{rng.choice([4, 8])},kernel:[3,3],pool:{rng.choice(['null', '[2,2]'])},"
            f"dropout:{rng.choice(['0', '0.1', '${model.dropout}'])}}}"
            for _ in range(rng.choice([1, 2, 4]))
        ]
        composed = job(f"model.blocks=[{','.join(blocks)}]", f"model.dropout={rng.choice(['0', '0.2', '0.3'])}")
        assert describe(checks.check, composed) == describe(check, composed)
    # The first one, and those in which a reference was to another type of number before.
    assert len(converted) <= 4


def test_a_value_in_a_list_that_is_equal_but_of_another_type_is_checked() -> None:
    block = "model.blocks=[{{filters:{},kernel:[3,3],pool:null,dropout:0.1}}]"
    checks = RepeatedCheck()
    checks.check(job(block.format(8)))

    with pytest.raises(UserError, match=r"filters=8\.0: expected a positive whole number"):
        checks.check(job(block.format(8.0)))


def test_only_values_are_converted_again(converted: list[DictConfig]) -> None:
    checks = RepeatedCheck()
    for seed in range(4):
        assert checks.check(job(f"seed={seed}", f"optimizer.lr={0.1 + seed}")).seed == seed
    assert len(converted) == 1


def test_blocks_that_vary_are_checked_without_building_their_network(monkeypatch: pytest.MonkeyPatch) -> None:
    block = "model.blocks=[{{filters:{},kernel:[3,3],pool:[2,2],dropout:0.1}}]"
    checks = RepeatedCheck()
    checks.check(job(block.format(8)))
    monkeypatch.setattr(value_checks, "build_model", None)

    assert checks.check(job(block.format(16))).model.blocks[0]["filters"] == 16


def test_blocks_are_checked_by_their_network_for_an_optimizer_that_may_depend_on_it() -> None:
    block = "model.blocks=[{{filters:{},kernel:[3,3],pool:[2,2],dropout:0.1}}]"
    optimizer = "optimizer._target_=torch.optim.Adagrad"
    checks = RepeatedCheck()
    checks.check(job(block.format(8), optimizer))
    with mock.patch.object(value_checks, "build_model", wraps=value_checks.build_model) as build:
        checks.check(job(block.format(16), optimizer))

    assert build.call_count == 1


def test_what_a_caller_changes_does_not_reach_the_next_job() -> None:
    checks = RepeatedCheck()
    first = checks.check(job("seed=1"))
    first.training.epochs, first.model.blocks[0]["pool"] = 5, 77
    second = checks.check(job("seed=2"))
    second.training.epochs = 6

    assert flatten(checks.check(job("seed=3"))) == flatten(check(job("seed=3")))


@pytest.mark.parametrize(
    "bad",
    [
        "training.epochs=0",
        "training.epochs=1.5",
        "training.epochs=12345678901234567890123",
        "optimizer.lr=-1",
        "optimizer.lr=nan",
        "optimizer.lr=fast",
        "model.dropout=7",
        "model.blocks=[{filters: 0, kernel: [3, 3], pool: [2, 2], dropout: 0.1}]",
        "model.blocks=[{filters: 8, kernel: [3, 3], pool: [900, 2], dropout: 0.1}]",
        "model.blocks=[{filters: 8, kernel: [3, 3]}, {filters: 8, kernel: [3, 3], dropout: '${model.drop}'}]",
        "model.blocks=[{filters: 8, kernel: [3, 3]}, {filters: 12345678901234567890, kernel: [3, 3]}]",
        "model.blocks=[{filters: 8, kernel: [3, 3]}, {filter: 8, kernel: [3, 3]}]",
        "model.blocks=[{filters: 8, kernel: [3, 3]}, {_target_: torch.nn.ReLU}]",
        "model.blocks=[{filters: 8, kernel: [3, 3]}, [3]]",
        "front_end.n_mels=100000000",
        "training.normalise_over=nothing",
        "tracking.run_name=''",
        "store.root=/etc",
        "hardware.time_limit=never",
        "data._target_=dcase_sweep.nothing",
        "hardware.precision=16-mixed",
        "+model.nothing=1",
        "resume=' '",
    ],
)
def test_a_bad_value_is_found_with_the_same_message(bad: str) -> None:
    base = ["model.blocks=[{filters: 8, kernel: [3, 3], pool: [2, 2], dropout: 0.1}]"] if "blocks" in bad else []
    composed = job(*base, bad)
    with pytest.raises(UserError) as expected:
        check(composed)
    checks = RepeatedCheck()
    for seed in range(2):
        checks.check(job(*base, f"seed={seed}"))

    with pytest.raises(UserError) as found:
        checks.check(composed)

    assert str(found.value) == str(expected.value)
    assert checks.check(job(*base, "seed=5")).seed == 5


def test_a_variable_of_the_environment_is_read_for_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = RepeatedCheck()
    monkeypatch.setenv("DCASE_SWEEP_CACHE", "/data/one")
    checks.check(job("seed=1"))
    monkeypatch.setenv("DCASE_SWEEP_CACHE", "/data/two")

    assert checks.check(job("seed=2")).store.root == "/data/two/features"
