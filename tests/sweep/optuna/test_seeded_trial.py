"""Trials that are trained with several seeds: their mean, pruning, failures, and continuation in a later seed."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dcase_sweep.application import limits
from dcase_sweep.runner import Result
from dcase_sweep.sweep import ConstraintViolation, report
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna import worker
from dcase_sweep.sweep.optuna.recovery import MOST_DEATHS, is_hopeless
from dcase_sweep.sweep.optuna.seed_jobs import read_seed_jobs
from dcase_sweep.sweep.optuna.seed_reporter import SeedReporter
from dcase_sweep.sweep.optuna.study import open_storage
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.time_limit import TimeLimit
from tests.sweep.optuna.test_application import Search, kinds
from tests.sweep.optuna.test_worker import METRIC, finished, work
from tests.sweep.optuna.together import Together, take_step

SEEDS = (4, 5, 6)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def load(search: Search) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=open_storage(str(search.folder / "optuna.log")))


def job_folder() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)


def test_the_mean_of_the_seeds_is_the_result(search: Search) -> None:
    seen = []

    def task(config: DictConfig) -> float:
        seen.append((config.x, config.seed, job_folder().relative_to(search.folder)))
        return float(config.seed)

    study = search(task, n_trials=2, seeds=(4, 5, 9))

    assert [trial.value for trial in study.get_trials()] == [6.0, 6.0]
    first = study.get_trials()[0]
    x = first.params["x"]
    assert seen[:3] == [(x, seed, Path("jobs/0") / f"seed_{seed}") for seed in (4, 5, 9)]
    assert len(seen) == 6
    assert first.user_attrs[records.SEEDS] == [4, 5, 9]
    assert first.user_attrs[records.SPREAD]["value"] == pytest.approx(math.sqrt(7))
    assert first.user_attrs[records.FOLDER] == str(search.folder / "jobs" / "0")
    assert [job.metrics for job in read_seed_jobs(first).values()] == [{"value": 4.0}, {"value": 5.0}, {"value": 9.0}]


def test_one_seed_leaves_no_trace(search: Search) -> None:
    study = search(lambda config: float(config.seed), n_trials=1)

    (trial,) = study.get_trials()
    assert trial.value == 4.0
    assert not {records.SEEDS, records.SEED_JOBS, records.SPREAD} & trial.user_attrs.keys()


def test_each_objective_has_its_mean_and_a_constraint_is_on_the_mean(search: Search) -> None:
    study = search(
        lambda config: {"accuracy": config.seed / 10, "size": config.seed, "seconds": 2.0 * config.seed},
        objective={"accuracy": "maximize", "size": "minimize"},
        constraints={"seconds": 9.0},
        n_trials=1,
        seeds=SEEDS,
    )

    (trial,) = study.get_trials()
    assert trial.values == pytest.approx([0.5, 5.0])
    assert trial.constraints == {"seconds": 1.0}
    assert trial.user_attrs[records.SPREAD] == pytest.approx({"accuracy": 0.1, "size": 1.0, "seconds": 2.0})


def test_the_pruner_sees_the_first_seed_and_a_pruned_trial_has_no_other(search: Search) -> None:
    seen = []

    def task(config: DictConfig) -> float:
        number = HydraConfig.get().job.num
        seen.append((number, config.seed))
        for step in range(3):
            report((1.0 if config.seed == 4 else 0.0) / (number + 1), step)
        return float(config.x)

    study = search(task, direction="maximize", pruner="MedianPruner", n_trials=7, seeds=(4, 5))

    assert kinds(study) == ["finished"] * 5 + ["pruned"] * 2
    assert study.get_trials()[4].intermediate_values == {0: 0.2, 1: 0.2, 2: 0.2}
    assert list(study.get_trials()[6].intermediate_values) == [0]
    assert [number for number, seed in seen if seed == 5] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (ValueError("no room"), "seed 5: ValueError: no room"),
        (UserError("optimizer.lr: too large"), "seed 5: optimizer.lr: too large"),
        (math.nan, "seed 5: value is not a number"),
    ],
    ids=["error", "error of the user", "nan"],
)
def test_a_seed_that_fails_fails_its_trial(search: Search, broken: Any, error: str) -> None:
    seen = []

    def task(config: DictConfig) -> float:
        number = HydraConfig.get().job.num
        seen.append((number, config.seed))
        if (number, config.seed) == (0, 5):
            if isinstance(broken, Exception):
                raise broken
            return float(broken)
        return 0.5

    study = search(task, n_trials=1, seeds=SEEDS)

    assert kinds(study) == ["failed", "finished"]
    assert study.get_trials()[0].user_attrs[records.ERROR] == error
    assert seen == [(0, 4), (0, 5), (1, 4), (1, 5), (1, 6)]


def test_an_unusable_result_ends_the_search_at_the_first_seed(search: Search) -> None:
    seen = []

    def task(config: DictConfig) -> dict[str, float]:
        seen.append(config.seed)
        return {"acc": 0.5}

    with pytest.raises(UserError, match=r"objective accuracy: no such metric of a job"):
        search(task, objective={"accuracy": "maximize"}, seeds=SEEDS)

    assert seen == [4]


def test_a_job_that_rejects_its_configuration_rejects_the_trial(search: Search) -> None:
    def task(config: DictConfig) -> float:
        if HydraConfig.get().job.num == 0:
            raise ConstraintViolation("too large", {"size": 1.0})
        return 0.5

    assert kinds(search(task, n_trials=1, seeds=SEEDS)) == ["rejected", "finished"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_trial_that_is_interrupted_in_its_second_seed_continues_there(
    search: Search, end: type[BaseException]
) -> None:
    seen = []

    def interrupted(config: DictConfig) -> float:
        report(config.seed / 10, 0)
        if config.seed == 5:
            (job_folder() / "checkpoint").write_text("1")
            raise end
        report(0.9, 1)
        return float(config.seed)

    def task(config: DictConfig) -> float:
        seen.append((config.seed, (job_folder() / "checkpoint").is_file(), job_folder().relative_to(search.folder)))
        report(0.0, 1)
        return float(config.seed)

    with pytest.raises(end):
        search(interrupted, n_trials=1, seeds=SEEDS)
    records.recover(load(search))
    study = search(task, n_trials=1, seeds=SEEDS)

    assert kinds(study) == ["interrupted", "finished"]
    assert seen == [(5, True, Path("jobs/0/seed_5")), (6, False, Path("jobs/1/seed_6"))]
    first, second = study.get_trials()
    assert second.params == first.params
    assert second.value == 5.0
    assert second.intermediate_values == {0: 0.4, 1: 0.9}
    assert second.user_attrs[records.CONTINUED] == 2


def test_a_trial_that_is_interrupted_in_its_first_seed_continues_there(search: Search) -> None:
    seen = []

    def interrupted(config: DictConfig) -> float:
        report(0.75, 0)
        raise KeyboardInterrupt

    def task(config: DictConfig) -> float:
        seen.append(job_folder().relative_to(search.folder))
        report(0.5, 1)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, n_trials=1, seeds=(4, 5))
    records.recover(load(search))
    study = search(task, n_trials=1, seeds=(4, 5))

    assert seen == [Path("jobs/0/seed_4"), Path("jobs/1/seed_5")]
    assert study.get_trials()[1].intermediate_values == {0: 0.75, 1: 0.5}


def test_a_result_that_no_search_writes_is_trained_again(search: Search) -> None:
    def interrupted(config: DictConfig) -> float:
        if config.seed == 5:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, n_trials=1, seeds=(4, 5))
    study = load(search)
    records.recover(study)
    storage, first = study._storage, study.get_trials()[0]
    changed = {"4": {"metrics": {"value": "1e9"}, "folder": 7}, "x": 1, "5": None, "9": {"metrics": {"value": 1.0}}}
    assert read_seed_jobs(first)[4].metrics == {"value": 1.0}
    first.user_attrs[records.SEED_JOBS] = changed
    assert [seed for seed, job in read_seed_jobs(first).items() if job.is_finished] == [9]
    again = study.ask()  # the retry, which another attempt follows
    storage.set_trial_user_attr(again._trial_id, records.SEED_JOBS, changed)
    records.fail(study, study.get_trials()[1], "gone", interrupted=True)
    records.recover(study)

    study = search(lambda config: float(config.seed), n_trials=1, seeds=(4, 5))

    assert kinds(study) == ["interrupted", "interrupted", "finished"]
    assert study.get_trials()[2].value == 3.0, "of 1.0, which the first attempt found, and 5.0"


def test_no_seed_is_begun_that_the_time_does_not_hold(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([100.0, 3.9])
    monkeypatch.setattr(TimeLimit, "seconds_left", property(lambda _: next(left, 0.0)))
    monkeypatch.setattr(worker, "find_deadline", lambda limit: 0.0)
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def task(config: DictConfig) -> float:
        now[0] += 4.0
        report(0.5, 0)
        return float(config.seed)

    study = search(task, n_trials=1, seeds=(4, 5))
    monkeypatch.undo()
    again = search(task, n_trials=1, seeds=(4, 5))

    assert kinds(study)[0] == "interrupted"
    assert [job.metrics for job in read_seed_jobs(study.get_trials()[0]).values()] == [{"value": 4.0}]
    assert again.get_trials()[-1].value == 4.5


def test_a_space_that_suggests_the_seed_is_refused(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space_of_seeds.py").write_text("def configure(config, trial):\n    trial.suggest_int('seed', 0, 9)\n")
    monkeypatch.syspath_prepend(tmp_path)

    study = search(lambda config: 0.0, custom="space_of_seeds.configure", seeds=SEEDS)

    errors = {trial.user_attrs[records.ERROR] for trial in study.get_trials()}
    assert errors.pop().startswith("hydra.sweeper.seeds: the space suggests seed=")


def test_a_new_step_of_a_later_seed_is_progress() -> None:
    """A trial whose worker is lost again and again does not fail as long as it gets on."""

    def trial_at(steps: list[int], finished: list[int] | None = None) -> bool:
        study = optuna.create_study()
        for number, step in enumerate(steps):
            trial = study.ask()
            trial.report(0.5, 0)
            trial.report(0.5, 1)
            trial.set_user_attr(records.SEED_STEP, [2, step])
            done = range(finished[number] if finished else 1)
            trial.set_user_attr(records.SEED_JOBS, {str(seed): {"metrics": {"value": 1.0}} for seed in done})
            if number:
                trial.set_user_attr(records.RETRY_OF, number - 1)
            records.fail(study, records.find_trial(study, trial), "killed", interrupted=True, died=True)
        trials = study.get_trials()
        return is_hopeless(trials, trials[-1])

    assert MOST_DEATHS == 3
    assert trial_at([3, 3, 3])
    assert not trial_at([3, 4, 5])
    assert not trial_at([9, 9, 1], finished=[1, 1, 2]), "another seed has finished"


def test_the_runs_of_an_experiments_seeds_are_named_and_tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Any] = []
    latency = lambda *_, **__: measured.append(1) or 1.0  # noqa: E731
    monkeypatch.setattr(limits, "latency_ms", latency)
    seen = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        tracking = config.tracking
        seen.append((config.seed, tracking.run_name, dict(tracking.tags), config.hardware.threads))
        return finished(config.seed / 10)

    study = work(tmp_path, experiment, n_trials=1, seeds=(1, 2), limits={"complexity/latency_ms": 5})

    assert seen == [(seed, f"s #0 seed={seed}", {"dcase_sweep.trial": "0"}, 1) for seed in (1, 2)]
    assert study.best_value == pytest.approx(0.15)
    assert study.best_trial.user_attrs[records.METRICS] == pytest.approx({METRIC: 0.15})
    assert len(measured) == 1, "the limits are checked once for all seeds"


def test_the_jobs_of_a_trial_of_several_seeds_draw_their_figures() -> None:
    study = optuna.create_study(direction="maximize")
    study.tell(study.ask(), 0.9)
    jobs: Any = None
    reporter = SeedReporter(study.ask(), jobs, 4, 0)

    assert reporter.is_best([0.5])  # the mean over the seeds may be the best one yet


def test_seeds_that_run_together_have_the_results_of_lone_ones(search: Search, tmp_path: Path) -> None:
    application, order = Together(), []

    def task(config: DictConfig) -> float:
        for number in range(2):
            order.append((config.seed, number, job_folder().name))
            take_step(config.seed / 10, number)
        return float(config.seed)

    study = search(task, n_trials=1, seeds=SEEDS, fused=2, application=application)

    assert application.sizes == [2]
    assert order == [
        *((seed, number, f"seed_{seed}") for number in range(2) for seed in (4, 5)),
        *((6, number, "seed_6") for number in range(2)),
    ]
    (trial,) = study.get_trials()
    assert trial.value == 5.0
    assert trial.intermediate_values == {0: 0.4, 1: 0.4}
    assert trial.user_attrs[records.SPREAD] == {"value": 1.0}


def test_a_seed_that_is_pruned_or_fails_stops_those_that_run_with_it(search: Search) -> None:
    application, steps = Together(), []

    def task(config: DictConfig) -> float:
        trial = HydraConfig.get().job.num
        for number in range(3):
            if (trial, config.seed, number) == (5, 5, 1):
                raise ValueError("no room")
            steps.append((trial, config.seed, number))
            take_step(1.0 / (trial + 1), number)
        return 0.5

    study = search(
        task, direction="maximize", pruner="MedianPruner", n_trials=6, seeds=SEEDS, fused=3, application=application
    )

    assert kinds(study) == ["finished"] * 5 + ["pruned"]
    assert {(seed, number) for trial, seed, number in steps if trial == 5} == {(4, 0), (5, 0), (6, 0)}


def test_a_seed_that_fails_while_others_run_fails_the_trial(search: Search) -> None:
    steps = []

    def task(config: DictConfig) -> float:
        trial = HydraConfig.get().job.num
        for number in range(3):
            if (trial, config.seed, number) == (0, 5, 1):
                raise ValueError("no room")
            steps.append((trial, config.seed, number))
            take_step(0.5, number)
        return 0.5

    study = search(task, n_trials=1, seeds=SEEDS, fused=3, application=Together())

    assert kinds(study) == ["failed", "finished"]
    assert study.get_trials()[0].user_attrs[records.ERROR] == "seed 5: ValueError: no room"
    assert max(number for trial, seed, number in steps if trial == 0 and seed == 6) == 1, "it stops with the other"


def test_an_application_that_runs_one_job_at_a_time_runs_one_seed_after_the_other(search: Search) -> None:
    order = []
    study = search(lambda config: order.append(config.seed) or 0.5, n_trials=1, seeds=SEEDS, fused=3)

    assert kinds(study) == ["finished"]
    assert order == [4, 5, 6]
