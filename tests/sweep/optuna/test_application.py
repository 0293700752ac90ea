"""A search in any Hydra application: return values, reports and errors of its task function."""

import errno
import os
import re
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from dcase_sweep.sweep import ConstraintViolation, report
from dcase_sweep.sweep.application import Application
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna import worker
from dcase_sweep.sweep.optuna.attributes import EPOCH
from dcase_sweep.sweep.optuna.custom_space import CustomSpace
from dcase_sweep.sweep.optuna.inputs import parse_direction
from dcase_sweep.sweep.optuna.opening import open_study
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.space import FlatSpace, make_space
from dcase_sweep.sweep.optuna.study import Objective, Signature, open_storage
from dcase_sweep.sweep.optuna.sweeper import OptunaSweeper
from dcase_sweep.sweep.optuna.worker import Worker
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.time_limit import TimeLimit
from hydra_plugins.dcase_sweep import OptunaWorkersSweeper

CONFIG = """
x: 0.0
kind: a
seed: 4
inner:
  y: 1
hydra:
  sweep:
    dir: {folder}/jobs
"""


class Search:
    """A search of an application in a folder of its own, by one worker in this process."""

    def __init__(self, folder: Path) -> None:
        (folder / "conf").mkdir()
        (folder / "conf" / "config.yaml").write_text(CONFIG.format(folder=folder))
        version.setbase("1.3")
        Plugins.instance()
        self.folder = folder
        self.loader = ConfigLoaderImpl(create_config_search_path(str(folder / "conf")))
        self.config = self.loader.load_configuration("config", ["hydra/sweeper=optuna_workers"], RunMode.MULTIRUN)

    def __call__(
        self,
        task: Callable[[DictConfig], Any],
        *,
        direction: Any = None,
        objective: Mapping[str, str] | None = None,
        constraints: Mapping[str, float] | None = None,
        pruner: str = "NopPruner",
        custom: str | None = None,
        n_trials: int = 5,
        seeds: tuple[int, ...] = (),
        fused: int = 1,
        together: int = 1,
        application: Application | None = None,
        params: Mapping[str, str] | None = None,
        sampler: str = "RandomSampler",
        sampler_options: Mapping[str, Any] | None = None,
    ) -> optuna.Study:
        """The study after a worker worked on it."""
        space: Any = make_space(params or {"x": "interval(0,1)"}, OverridesParser.create())
        if custom is not None:
            space = CustomSpace(FlatSpace(()), custom, self.config)
        wanted = Objective.parse(objective, "objective") if objective else parse_direction(direction)
        where = str(self.folder / "optuna.log")
        study: optuna.Study = open_study(
            open_storage(where), "s", wanted, Signature(space.describe(), {}, {}), fresh=False
        )
        search_config = SearchConfig(
            application=application or Application(),
            storage=where,
            study="s",
            space=space,
            objective=wanted,
            fixed=(),
            n_trials=n_trials,
            max_failed=0.5,
            sampler={"_target_": f"optuna.samplers.{sampler}", "seed": 0, **(sampler_options or {})},
            pruner={"_target_": f"optuna.pruners.{pruner}"},
            constraints=constraints or {},
            is_grid=sampler in ("BruteForceSampler", "GridSampler"),
            seeds=seeds,
            fused=fused,
            together=together,
        )
        Worker(search_config, HydraContext(self.loader, Callbacks()), self.config, task, threads=None).work(0)
        return study


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(tmp_path)


def kinds(study: optuna.Study) -> list[str]:
    return [records.kind(trial) for trial in study.get_trials()]


def test_a_number_is_minimized_by_default(search: Search) -> None:
    study = search(lambda config: config.x)

    assert kinds(study) == ["finished"] * 5
    assert study.best_value == min(trial.params["x"] for trial in study.get_trials())


def test_several_numbers_have_a_direction_each(search: Search) -> None:
    study = search(lambda config: (config.x, 1 - config.x), direction=["minimize", "maximize"])

    assert study.metric_names == ["value_1", "value_2"]
    assert [trial.number for trial in study.best_trials] == [
        min(study.get_trials(), key=lambda trial: trial.params["x"]).number
    ]


def test_an_entry_of_a_dictionary_is_optimised_and_another_one_limited(search: Search) -> None:
    study = search(
        lambda config: {"accuracy": config.x, "seconds": config.x, "name": "no number"},
        objective={"accuracy": "maximize"},
        constraints={"seconds": 0.5},
    )

    values = [trial.params["x"] for trial in study.get_trials()]
    assert max(values) > 0.5
    best = records.find_best(study.get_trials(), "maximize")
    assert best is not None
    assert best.value == max(value for value in values if value <= 0.5)
    assert study.get_trials()[0].user_attrs[records.METRICS] == {"accuracy": values[0], "seconds": values[0]}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"the task function returned None; expected a number, a list of numbers, or a dictionary"),
        (
            {"accuracy": 0.5},
            r"returned accuracy, which does not fit hydra.sweeper.direction; .* hydra.sweeper.objective=\{NAME",
        ),
    ],
)
def test_an_unusable_result_ends_the_search_with_what_is_expected(search: Search, returned: Any, message: str) -> None:
    with suppress(UserError):
        search(lambda config: returned)

    study = optuna.load_study(study_name="s", storage=open_storage(str(search.folder / "optuna.log")))
    assert kinds(study) == ["failed"]
    assert re.search(message, study.user_attrs[records.STOPPED])


def test_a_failed_job_is_reported_and_too_many_end_the_search(search: Search) -> None:
    def task(config: DictConfig) -> float:
        raise ValueError(f"\x1b[1mno room for {config.kind}")

    study = search(task)

    assert kinds(study) == ["failed"] * 3
    assert study.get_trials()[0].user_attrs[records.ERROR] == r"ValueError: \x1b[1mno room for a"
    assert study.user_attrs[records.STOPPED].startswith("3 of 3 trials failed")


def test_a_report_reaches_the_pruner_and_does_nothing_elsewhere(search: Search) -> None:
    def task(config: DictConfig) -> float:
        number = HydraConfig.get().job.num
        for step in range(3):
            report(1.0 / (number + 1), step)
        return float(config.x)

    report(0.5, 0)
    study = search(task, direction="maximize", pruner="MedianPruner", n_trials=7)

    assert kinds(study) == ["finished"] * 5 + ["pruned"] * 2
    assert study.get_trials()[4].intermediate_values == {0: 0.2, 1: 0.2, 2: 0.2}
    assert list(study.get_trials()[6].intermediate_values) == [0]


def test_several_objectives_have_no_pruner(search: Search) -> None:
    def task(config: DictConfig) -> tuple[float, float]:
        report(0.5, 0)
        return config.x, config.x

    assert kinds(search(task, direction=["minimize", "minimize"], n_trials=2)) == ["finished"] * 2


def test_a_job_may_reject_its_configuration(search: Search) -> None:
    def task(config: DictConfig) -> float:
        if config.x > 0.5:
            raise ConstraintViolation("too large", {"size": config.x - 0.5})
        return float(config.x)

    study = search(task, n_trials=3)

    assert sorted(kinds(study)) == ["finished"] * 3 + ["rejected"] * (len(study.get_trials()) - 3)
    rejected = [trial for trial in study.get_trials() if records.kind(trial) == "rejected"]
    assert rejected[0].user_attrs[records.REJECTED] == "too large"
    assert rejected[0].constraints == {"size": rejected[0].params["x"] - 0.5}


def test_parameters_may_exist_under_conditions(search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_search_space.py").write_text(
        textwrap.dedent("""
            def configure(config, trial):
                if trial.suggest_categorical("kind", ["a", "b"]) == "b":
                    trial.suggest_int("inner.y", config.inner.y, 9)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    seen = []

    def task(config: DictConfig) -> float:
        seen.append((config.kind, config.inner.y))
        return float(config.inner.y)

    study = search(task, custom="my_search_space.configure", n_trials=6)

    assert {kind for kind, _ in seen} == {"a", "b"}
    for trial in study.get_trials():
        assert ("inner.y" in trial.params) == (trial.params["kind"] == "b")
    assert all(y == 1 for kind, y in seen if kind == "a")


@pytest.mark.parametrize("name", ["nothing", "no_such_module.configure", "math.pi"])
def test_a_space_that_is_no_function_is_rejected(search: Search, name: str) -> None:
    with pytest.raises(UserError, match=rf"hydra.sweeper.custom_search_space={name}: "):
        search(lambda config: 0.0, custom=name)


def test_an_interrupted_trial_is_retried_in_its_folder_with_its_steps(search: Search) -> None:
    """The application finds its own checkpoint there; the pruner, the values that were reported."""
    folders = []

    def interrupted(config: DictConfig) -> float:
        folder = Path(HydraConfig.get().runtime.output_dir)
        (folder / "checkpoint").write_text("1")
        report(0.75, 0)
        raise KeyboardInterrupt

    def task(config: DictConfig) -> float:
        folder = Path(HydraConfig.get().runtime.output_dir)
        folders.append((folder, (folder / "checkpoint").is_file()))
        report(0.5, 1)
        return float(config.x)

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, n_trials=2)
    study = optuna.load_study(study_name="s", storage=open_storage(str(search.folder / "optuna.log")))
    records.recover(study)
    search(task, n_trials=2)

    trials = study.get_trials()
    assert kinds(study) == ["interrupted", "finished", "finished"]
    assert folders == [(search.folder / "jobs" / "0", True), (search.folder / "jobs" / "2", False)]
    assert trials[1].params == trials[0].params
    assert trials[1].intermediate_values == {0: 0.75, 1: 0.5}


@pytest.mark.parametrize("code", [0, 3, "gone"])
def test_a_task_function_that_exits_is_interrupted_and_continues(search: Search, code: int | str) -> None:
    """As the handler of a signal does that another library has set."""

    def exits(config: DictConfig) -> float:
        report(0.75, 0)
        raise SystemExit(code)

    def task(config: DictConfig) -> float:
        report(0.5, 1)
        return 0.0

    with pytest.raises(SystemExit) as caught:
        search(exits, n_trials=1)
    study = search(task, n_trials=1)

    assert caught.value.code == (code or 1), "a worker that was ended is no success"
    assert kinds(study) == ["interrupted", "finished"]
    first, second = study.get_trials()
    assert first.user_attrs[records.ERROR] == f"SystemExit: {code}"
    assert second.params == first.params
    assert second.intermediate_values == {0: 0.75, 1: 0.5}


def test_a_task_function_that_always_exits_fails_in_the_end(search: Search) -> None:
    def exits(config: DictConfig) -> float:
        raise SystemExit

    for _ in range(3):
        with pytest.raises(SystemExit):
            search(exits, n_trials=1)

    study = optuna.load_study(study_name="s", storage=open_storage(str(search.folder / "optuna.log")))
    assert kinds(study) == ["interrupted", "interrupted", "failed"]


def test_no_trial_is_begun_that_the_time_does_not_hold(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest step of the trials is known from those before; the first trial is begun in any case."""
    left = iter([100.0, 100.0, 3.9])
    monkeypatch.setattr(TimeLimit, "seconds_left", property(lambda _: next(left, 0.0)))
    monkeypatch.setattr(worker, "find_deadline", lambda limit: 0.0)
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def task(config: DictConfig) -> float:
        for step, seconds in enumerate((4.0, 3.0, 1.0)):
            now[0] += seconds
            report(0.5, step)
        return 0.0

    study = search(task, n_trials=9)

    assert kinds(study) == ["finished"] * 2
    assert [trial.user_attrs[EPOCH] for trial in study.get_trials()] == [4.0, 4.0]


def test_a_storage_may_not_name_the_folder_of_another_job(search: Search, tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.mkdir()

    def interrupted(config: DictConfig) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, n_trials=1)
    storage = open_storage(str(search.folder / "optuna.log"))
    study = optuna.load_study(study_name="s", storage=storage)
    records.recover(study)
    again = study.ask()
    again.set_user_attr(records.FOLDER, str(other))
    job = Application().prepare(search.loader.load_sweep_config(search.config, ["x=0.5"]))

    assert Application().resume(job, str(other)) is None
    assert list(other.iterdir()) == []


def test_a_file_that_cannot_be_written_ends_the_search_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sweeper: OptunaSweeper, arguments: list[str]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "optuna.log"))

    monkeypatch.setattr(OptunaSweeper, "sweep", fail)
    sweeper = OptunaWorkersSweeper(n_trials=1, workers=1, sampler={}, pruner={})

    with pytest.raises(
        CompactHydraException, match=f"^error: {tmp_path}: no space left on the disk for optuna.log; free some"
    ):
        sweeper.sweep([])
