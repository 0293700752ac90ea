"""Trials of one architecture that a worker runs together."""

import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from optuna.trial import TrialState

from dcase_sweep.application.together import must_be_shared
from dcase_sweep.sweep import ConstraintViolation, report
from dcase_sweep.sweep.optuna import recovery
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.points import list_points
from dcase_sweep.sweep.optuna.seed_jobs import read_seed_jobs
from dcase_sweep.sweep.optuna.study import open_storage
from dcase_sweep.utils.errors import UserError
from tests.sweep.optuna.test_application import Search, kinds
from tests.sweep.optuna.together import Together, take_step

#: Two numbers with a fraction, and two keys that decide the architecture.
SPACE = {"x": "interval(0,1)", "inner.y": "range(1,50)", "kind": "choice(a,b,c)", "+z": "choice(0.1,0.2,0.3,0.4)"}


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def load(search: Search) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=open_storage(str(search.folder / "optuna.log")))


def number() -> int:
    return int(HydraConfig.get().job.num)


def train(config: DictConfig) -> float:
    for each in range(2):
        take_step(config.x + each, each)
    return float(config.x)


def list_values(study: optuna.Study, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(trial.params[name] for name in names) for trial in study.get_trials()]


def test_trials_of_a_group_share_what_decides_the_architecture_and_differ_in_numbers(search: Search) -> None:
    application = Together()

    study = search(train, params=SPACE, n_trials=7, together=3, application=application)

    assert application.groups == [["0", "1", "2"], ["3", "4", "5"]], "the last one runs alone"
    assert kinds(study) == ["finished"] * 7
    shared, numbers = list_values(study, "inner.y", "kind"), list_values(study, "x")
    assert len(set(shared[:3])) == len(set(shared[3:6])) == 1
    assert len({*shared}) == 3, "each group has an architecture of its own"
    assert len({*numbers}) == 7
    assert len({*list_values(study, "+z")}) > 1
    for trial in study.get_trials():
        x = trial.params["x"]
        assert (trial.value, trial.intermediate_values) == (x, {0: x, 1: x + 1})
        assert trial.user_attrs[records.FOLDER] == str(search.folder / "jobs" / f"{trial.number}")
        assert trial.user_attrs[records.OWNER]
        assert trial.user_attrs[records.SECONDS] > 0


def test_jobs_of_a_group_take_turns_in_their_own_folders(search: Search) -> None:
    order = []

    def task(config: DictConfig) -> float:
        for each in range(2):
            order.append((number(), each, Path.cwd() == search.folder, HydraConfig.get().runtime.output_dir[-1]))
            take_step(0.5, each)
        return 0.5

    search(task, n_trials=2, together=2, application=Together())

    assert [each[:2] for each in order] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [each[3] for each in order] == ["0", "1", "0", "1"]


def test_a_search_of_one_worker_is_the_same_twice(tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        study = Search(tmp_path / name)(
            train, params=SPACE, n_trials=13, together=4, application=Together(), sampler="TPESampler"
        )
        found.append([(trial.params, trial.value) for trial in study.get_trials()])

    assert found[0] == found[1]


def test_the_first_trial_of_a_group_is_that_of_a_search_without_groups(tmp_path: Path) -> None:
    params = []
    for name, together in (("alone", 1), ("group", 4)):
        (tmp_path / name).mkdir()
        study = Search(tmp_path / name)(train, params=SPACE, n_trials=4, together=together, application=Together())
        params.append(study.get_trials()[0].params)

    assert params[0] == params[1]


def test_keys_that_the_application_frees_may_differ(search: Search) -> None:
    application = Together("inner.y")

    study = search(
        train, params={"x": "choice(0.5)", "inner.y": "range(1,50)"}, n_trials=3, together=3, application=application
    )

    assert application.sizes == [3]
    assert len({*list_values(study, "inner.y")}) == 3


def test_where_all_keys_decide_the_architecture_trials_run_one_by_one(search: Search) -> None:
    application = Together()

    study = search(train, params={"inner.y": "range(1,50)"}, n_trials=3, together=3, application=application)

    assert application.groups == []
    assert kinds(study) == ["finished"] * 3


def test_a_pruned_trial_leaves_its_group_and_the_others_go_on(search: Search) -> None:
    steps = []

    def task(config: DictConfig) -> float:
        for each in range(4):
            steps.append((number(), each))
            take_step(0.1 if number() == 6 else 1.0, each)
        return 1.0

    study = search(
        task, direction="maximize", pruner="MedianPruner", n_trials=8, together=8, application=(first := Together())
    )
    assert first.sizes == [8]
    assert kinds(study) == ["finished"] * 8, "nothing to compare with"
    steps.clear()

    def later(config: DictConfig) -> float:
        for each in range(4):
            steps.append((number(), each))
            take_step(0.1 if number() == 9 else 1.0, each)
        return 1.0

    study = search(
        later, direction="maximize", pruner="MedianPruner", n_trials=11, together=3, application=(again := Together())
    )

    assert again.groups == [["8", "9", "10"]]
    assert kinds(study)[8:] == ["finished", "pruned", "finished"]
    assert [each for trial, each in steps if trial == 9] == [0]
    assert {trial: each for trial, each in steps} == {8: 3, 9: 0, 10: 3}
    assert study.get_trials()[9].intermediate_values == {0: 0.1}


def test_a_trial_that_fails_leaves_its_group_and_the_others_go_on(search: Search) -> None:
    def task(config: DictConfig) -> float:
        for each in range(3):
            if (number(), each) == (1, 1):
                raise MemoryError("no room")
            take_step(0.5, each)
        return 0.5

    application = Together()
    study = search(task, n_trials=3, together=3, application=application)

    assert kinds(study) == ["finished", "failed", "finished", "finished"]
    assert study.get_trials()[1].user_attrs[records.ERROR] == "MemoryError: no room"
    assert application.groups == [["0", "1", "2"]]


def test_rejected_trials_take_no_place_in_a_group(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    class Limited(Together):
        def prepare(self, config: DictConfig) -> Any:
            if config.x > 0.5:
                raise ConstraintViolation("too large", {"x": config.x - 0.5})
            return super().prepare(config)

    application = Limited()
    study = search(train, n_trials=6, together=3, application=application)

    assert sorted(kinds(study)) == ["finished"] * 6 + ["rejected"] * (len(study.get_trials()) - 6)
    assert "rejected" in kinds(study)
    assert application.sizes == [3, 3]
    monkeypatch.setattr("dcase_sweep.sweep.optuna.worker._HOPELESS", 20)
    monkeypatch.setattr(Limited, "prepare", _reject)
    with pytest.raises(UserError, match="20 trials in a row were rejected"):
        search(train, n_trials=9, together=3, application=application)


def _reject(self: Together, config: DictConfig) -> Any:
    raise ConstraintViolation("nothing is allowed")


def test_a_job_that_rejects_itself_in_a_group_costs_no_trial(search: Search) -> None:
    def task(config: DictConfig) -> float:
        take_step(0.5, 0)
        if number() == 1:
            raise ConstraintViolation("too slow", {"speed": 1.0})
        return 0.5

    assert kinds(search(task, n_trials=3, together=3, application=Together())) == [
        "finished",
        "rejected",
        "finished",
        "finished",
    ]


@pytest.mark.parametrize("sampler", ["BruteForceSampler", "GridSampler", "TPESampler"])
def test_a_finite_space_is_tried_in_groups_until_its_end(search: Search, sampler: str) -> None:
    application, seen = Together(), []

    def task(config: DictConfig) -> float:
        seen.append((config.kind, config.x))
        take_step(0.5, 0)
        return 0.5

    params = {"kind": "choice(a,b)", "x": "choice(0.1,0.2,0.3)"}
    grid = {"kind": ["a", "b"], "x": ["0.1", "0.2", "0.3"]}
    study = search(
        task,
        params=params,
        n_trials=40,
        together=4,
        application=application,
        sampler=sampler,
        sampler_options={"search_space": grid} if sampler == "GridSampler" else None,
    )

    assert sorted(seen) == [(kind, x) for kind in "ab" for x in (0.1, 0.2, 0.3)]
    assert application.sizes == [3, 3], "no fourth trial has the same architecture"
    assert study.user_attrs[records.EXHAUSTED] == "every configuration of the space was tried"
    if sampler == "BruteForceSampler":
        assert kinds(study) == ["finished"] * 6


def test_no_more_trials_run_than_wanted(search: Search) -> None:
    application = Together()

    study = search(train, n_trials=2, together=8, application=application)

    assert kinds(study) == ["finished"] * 2
    assert application.sizes == [2]


def test_other_workers_cannot_take_what_a_worker_has_asked_for(search: Search) -> None:
    """The second worker begins while the first one trains its group."""
    taken: list[int] = []

    def task(config: DictConfig) -> float:
        taken.append(number())
        if len(taken) == 1:
            assert not load(search).get_trials(states=[TrialState.WAITING])
            search(task, params=SPACE, n_trials=6, together=3, application=Together())
        take_step(0.5, 0)
        return 0.5

    study = search(task, params=SPACE, n_trials=6, together=3, application=Together())

    assert sorted(taken) == [0, 1, 2, 3, 4, 5]
    assert kinds(study) == ["finished"] * 6


def test_an_interruption_interrupts_the_whole_group_which_continues_together(search: Search) -> None:
    continued = []

    def interrupted(config: DictConfig) -> float:
        for each in range(3):
            if (number(), each) == (1, 1):
                raise KeyboardInterrupt
            take_step(0.1 * number(), each)
        return 0.5

    def task(config: DictConfig) -> float:
        continued.append(HydraConfig.get().runtime.output_dir)
        take_step(0.9, 1)
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, params=SPACE, n_trials=3, together=3, application=Together())
    study = load(search)
    assert kinds(study) == ["interrupted"] * 3
    records.recover(study)
    application = Together()
    study = search(task, params=SPACE, n_trials=3, together=3, application=application)

    assert application.groups == [["3", "4", "5"]]
    assert continued == [str(search.folder / "jobs" / f"{each}") for each in range(3)]
    assert kinds(study) == ["interrupted"] * 3 + ["finished"] * 3
    trials = study.get_trials()
    assert [trial.params for trial in trials[3:]] == [trial.params for trial in trials[:3]]
    assert trials[5].intermediate_values == pytest.approx({0: 0.2, 1: 0.9})


def test_an_interruption_before_a_job_has_begun_interrupts_its_trial(search: Search) -> None:
    def task(config: DictConfig) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(task, n_trials=3, together=3, application=Together())

    assert kinds(load(search)) == ["interrupted"] * 3
    assert {trial.user_attrs[records.ERROR] for trial in load(search).get_trials()} == {"KeyboardInterrupt:"}


def test_an_interruption_while_a_group_is_built_interrupts_its_trials(search: Search) -> None:
    class Interrupted(Together):
        def prepare(self, config: DictConfig) -> Any:
            if config.hydra.job.num == 2:
                raise KeyboardInterrupt
            return super().prepare(config)

    with pytest.raises(KeyboardInterrupt):
        search(train, n_trials=3, together=3, application=Interrupted())

    assert kinds(load(search)) == ["interrupted"] * 3


def test_a_job_that_ends_its_process_is_the_only_one_that_may_have_ended_it(search: Search) -> None:
    def task(config: DictConfig) -> float:
        take_step(0.5, 0)
        if number() == 1:
            raise SystemExit(3)
        take_step(0.5, 1)
        return 0.5

    with pytest.raises(SystemExit):
        search(task, n_trials=3, together=3, application=Together())

    trials = load(search).get_trials()
    assert kinds(load(search)) == ["interrupted"] * 3
    assert [trial.user_attrs.get(records.DIED, False) for trial in trials] == [False, True, False]


def test_a_result_that_no_search_can_use_ends_the_search_and_interrupts_the_others(search: Search) -> None:
    def task(config: DictConfig) -> dict[str, float]:
        take_step(0.5, 0)
        if number() == 0:
            return {"acc": 0.5}
        take_step(0.5, 1)
        return {"accuracy": 0.5}

    with pytest.raises(UserError, match=r"objective accuracy: no such metric of a job"):
        search(task, objective={"accuracy": "maximize"}, n_trials=3, together=3, application=Together())

    assert kinds(load(search)) == ["failed", "interrupted", "interrupted"]


def test_trials_of_which_one_may_end_its_worker_each_time_run_alone(search: Search) -> None:
    """Those that ran with it have done nothing wrong. A third death would be their failure."""
    study = search(train, params=SPACE, n_trials=1, application=Together())
    known = study.get_trials()[0]
    study = load(search)
    for x in (0.1, 0.2, 0.3):
        study.enqueue_trial({**known.params, "x": x})
    for attempt in range(2):
        waiting = study.get_trials(states=[TrialState.WAITING])
        assert [recovery.is_suspected(study.get_trials(), each) for each in waiting] == [False] * 3
        for each in [study.ask() for _ in waiting]:
            for name, distribution in known.distributions.items():
                each._suggest(name, distribution)
            for reported in range(1 + attempt * (each.params["x"] == 0.3)):
                each.report(0.5, reported)
            records.fail(study, records.find_trial(study, each), "killed by SIGKILL", interrupted=True, died=True)
        records.recover(study)
    application, alone = Together(), []

    def task(config: DictConfig) -> float:
        alone.append((number(), config.x))
        return 0.5

    search(task, params=SPACE, n_trials=5, together=3, application=application)

    assert alone[:3] == [(7, 0.1), (8, 0.2), (9, 0.3)]
    assert application.groups == [["9", "10"]], "the third one has got on, and may run with another"


def test_waiting_trials_of_the_same_architecture_come_first_and_others_are_left(search: Search) -> None:
    study = search(train, params=SPACE, n_trials=1, application=Together())
    known = dict(study.get_trials()[0].params)
    study = load(search)
    for kind, x in (("a", 0.1), ("b", 0.2), ("a", 0.3), ("b", 0.4)):
        study.enqueue_trial({**known, "inner.y": 7, "kind": kind, "x": x})
    application = Together()

    study = search(train, params=SPACE, n_trials=6, together=3, application=application)

    assert application.groups == [["1", "3", "5"], ["2", "4"]]
    assert list_values(study, "kind", "inner.y")[1:] == [("a", 7), ("b", 7), ("a", 7), ("b", 7), ("a", 7)]
    assert kinds(study) == ["finished"] * 6


def test_trials_with_seeds_are_trained_together(search: Search) -> None:
    application = Together()

    def task(config: DictConfig) -> float:
        for each in range(2):
            take_step(config.seed + config.x, each)
        return float(config.seed)

    study = search(task, n_trials=3, seeds=(4, 5, 9), fused=6, together=2, application=application)

    assert application.groups == [
        ["0 seed 4", "0 seed 5", "0 seed 9", "1 seed 4", "1 seed 5", "1 seed 9"],
        ["2 seed 4", "2 seed 5", "2 seed 9"],
    ]
    for trial in study.get_trials():
        assert trial.value == 6.0
        assert trial.intermediate_values == {each: 4 + trial.params["x"] for each in range(2)}
        assert [job.metrics["value"] for job in read_seed_jobs(trial).values()] == [4.0, 5.0, 9.0]


def test_a_trial_whose_seed_fails_leaves_its_group(search: Search) -> None:
    steps = []

    def task(config: DictConfig) -> float:
        for each in range(3):
            if (number(), config.seed, each) == (0, 5, 1):
                raise ValueError("no room")
            take_step(0.5, each)
            steps.append((number(), config.seed, each))
        return 0.5

    study = search(task, n_trials=2, seeds=(4, 5), fused=4, together=2, application=Together())

    assert kinds(study) == ["failed", "finished", "finished"]
    assert study.get_trials()[0].user_attrs[records.ERROR] == "seed 5: ValueError: no room"
    assert max(each for trial, seed, each in steps if (trial, seed) == (0, 4)) == 1, "it stops with the other seed"
    assert {each for trial, _, each in steps if trial == 1} == {0, 1, 2}


def test_trials_with_seeds_that_are_interrupted_continue_together_in_the_seeds_that_are_left(search: Search) -> None:
    def interrupted(config: DictConfig) -> float:
        report(config.seed / 10, 0)
        if config.seed == 4:
            return 1.0
        take_step(0.0, 1)
        if number() == 1:
            raise KeyboardInterrupt
        take_step(0.0, 2)
        return 2.0

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, n_trials=2, seeds=(4, 5), fused=4, together=2, application=Together())
    assert kinds(load(search)) == ["interrupted"] * 2
    records.recover(load(search))
    application = Together()
    study = search(lambda config: 3.0, n_trials=2, seeds=(4, 5), fused=4, together=2, application=application)

    assert application.groups == [["2 seed 5", "3 seed 5"]]
    assert kinds(study) == ["interrupted"] * 2 + ["finished"] * 2
    assert [trial.value for trial in study.get_trials()[2:]] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("optimizer.lr", 0.1, False),
        ("model.dropout", 0.2, False),
        ("model.units", 8, True),
        ("model.blocks.0.pool", [2, 2], True),
        ("model", "cnn4", True),
        ("training.batch_size", 16, True),
        ("training.epochs", 16, False),
        ("seed", 3, False),
        ("optimizer", "adam", False),
        ("augmentation.masks.size", 3, False),
        ("callbacks.early_stopping.patience", 5, False),
    ],
)
def test_what_experiments_share_that_are_trained_together(key: str, value: Any, expected: bool) -> None:
    assert must_be_shared(key, value) is expected


def test_untried_points_with_some_values_are_found() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from dcase_sweep.sweep.optuna.space import make_space

    space = make_space(
        {"kind": "choice(a,b)", "y": "range(1,4)", "x": "choice(0.1,1e-1,0.2)"}, OverridesParser.create()
    )
    points = list_points(space)
    assert points is not None
    tried: set[Any] = set()
    found = []
    while (untried := points.find_untried(tried, len(tried), random.Random(0), {"kind": "b", "y": 2})) is not None:
        found.append(untried)
        point = points.identify(untried)
        assert point is not None
        tried.add(point)

    assert sorted(found, key=str) == [{"kind": "b", "y": 2, "x": "0.1"}, {"kind": "b", "y": 2, "x": "0.2"}]
    assert points.find_untried(set(), 0, random.Random(0), {"kind": "c"}) is None
