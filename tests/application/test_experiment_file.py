"""The experiment file of one of the best trials."""

from dataclasses import replace

import pytest
import yaml

from dcase_sweep.application.experiment_file import make_experiment_file
from dcase_sweep.sweep.job import BestTrial
from dcase_sweep.utils.errors import UserError

BEST = BestTrial(
    study="s",
    number=4,
    name="best",
    fixed=(),
    overrides=["model.depth=2", "data=tau2020", "optimizer.lr=0.01"],
    threads=None,
    metrics={"best/validation/accuracy": 0.4},
    notes=(),
    folder="",
)


def test_the_best_becomes_an_experiment_of_groups_and_values() -> None:
    text = make_experiment_file(replace(BEST, fixed=("model=cnn4", "training.epochs=3")))

    assert text.splitlines()[0] == "# @package _global_"
    assert '  - override /model: "cnn4"' in text
    assert '  - override /data: "tau2020"' in text
    assert "training:\n  epochs: 3\n" in text
    assert "optimizer:\n  lr: 0.01\n" in text


def test_secrets_are_left_out_and_named() -> None:
    fixed = ("model=cnn4", "tracking.uri='http://ann:hunter2@host'", "+logger.w.api_key=hunter2", "training.epochs=3")

    text = make_experiment_file(replace(BEST, fixed=fixed))

    assert "hunter2" not in text
    assert "# Left out, as a secret: tracking.uri, logger.w.api_key.\n" in text
    assert "tracking:" not in text
    assert "epochs: 3" in text


def test_the_mean_of_several_seeds_is_said_to_be_one_and_the_file_has_the_first() -> None:
    best = replace(BEST, seeds=(5, 6), spread={"best/validation/accuracy": 0.0125})

    text = make_experiment_file(best)

    assert text.splitlines()[1:3] == [
        "# Trial 4 of the search s: best/validation/accuracy 0.4.",
        "# Mean of the seeds 5,6, standard deviation 0.0125; all of them again: -m seed=5,6",
    ]
    assert yaml.safe_load(text)["seed"] == 5


def test_several_choices_of_a_group_are_written() -> None:
    text = make_experiment_file(replace(BEST, fixed=("metrics=[macro_f1,cohen_kappa]", "callbacks=early_stopping")))

    assert '  - override /metrics: ["macro_f1", "cohen_kappa"]' in text
    assert '  - override /callbacks: "early_stopping"' in text


@pytest.mark.parametrize(
    "override",
    [
        "model._target_=os.system",
        "+model.blocks.0._target_=os.system",
        "model.blocks=[{_target_:os.system}]",
        "optimizer.lr=${oc.env:SECRET}",
        "model.units=${model.${oc.env:SECRET}}",
        "model.units=${tracking.uri}",
        "store.root=/etc",
        "tracking.uri=http://attacker",
        "hydra.sweep.dir=/etc",
        "task.learner=os.system",
        "framework.check=os.system",
        "framework.learners.scenes=os.system",
        "optimizer.lr=0.1\nmodel._target_: os.system",
        "hydra/launcher=other",
        "no value",
        3,
    ],
)
def test_a_storage_is_not_trusted_to_name_code_or_places(override: object) -> None:
    with pytest.raises(UserError, match=r"^trial 4 of the storage has the override .* which no search"):
        make_experiment_file(replace(BEST, overrides=[override]))


@pytest.mark.parametrize(("overrides", "threads"), [("model.depth=2", None), (["model.depth=2"], "2")])
def test_values_that_no_search_writes_are_rejected(overrides: object, threads: object) -> None:
    with pytest.raises(UserError, match="its overrides are no list"):
        make_experiment_file(replace(BEST, overrides=overrides, threads=threads))


def test_lists_and_groups_of_a_space_are_written() -> None:
    overrides = ["model.pools=[[2,2],[2,1]]", "model=cnn4", "++optimizer.lr=1e-3"]

    text = make_experiment_file(replace(BEST, overrides=overrides))

    assert 'override /model: "cnn4"' in text
    assert "lr: 0.001" in text


def test_the_experiment_that_was_searched_is_built_on_and_the_search_left_out() -> None:
    fixed = ("search=width", "+experiment=first", "metrics=[macro_f1,cohen_kappa]", "logger=csv")

    content = yaml.safe_load(make_experiment_file(replace(BEST, overrides=["model.width=4"], fixed=fixed)))

    assert content["defaults"] == [
        "first",
        {"override /metrics": ["macro_f1", "cohen_kappa"]},
        {"override /logger": "csv"},
    ]
    assert content["model"] == {"width": 4}
    assert "search" not in content


def test_blocks_that_take_a_value_of_their_model_are_written() -> None:
    blocks = "model.blocks=[{filters:8,kernel:[7,7],pool:null,dropout:${model.dropout}}]"

    text = make_experiment_file(replace(BEST, overrides=["model.dropout=0.2", "model.depth=null", blocks]))

    assert "dropout: ${model.dropout}" in text
    assert "  - filters: 8\n" in text


def test_threads_and_remarks_are_kept() -> None:
    text = make_experiment_file(replace(BEST, threads=2, notes=("synthetic demo data",)))

    assert "hardware:\n  threads: 2\n" in text
    assert "# Note: synthetic demo data.\n" in text
