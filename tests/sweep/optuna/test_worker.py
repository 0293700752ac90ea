"""The trials of one worker: rejected, pruned, failed, finished; messages, and the end of a search."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.application.callback import TrialCallback
from dcase_sweep.application.experiments import Experiments
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.runner import Result
from dcase_sweep.sweep.optuna import settings, trial_runner
from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.journal import Journal
from dcase_sweep.sweep.optuna.opening import open_study
from dcase_sweep.sweep.optuna.reporter import TrialReporter
from dcase_sweep.sweep.optuna.search_config import SearchConfig
from dcase_sweep.sweep.optuna.space import make_space
from dcase_sweep.sweep.optuna.study import Objective, Signature, open_storage
from dcase_sweep.sweep.optuna.worker import Worker
from dcase_sweep.sweep.reporting import TrialPruned
from dcase_sweep.training.callbacks import StopTraining
from dcase_sweep.utils.errors import UserError

METRIC = "best/validation/accuracy"
Experiment = Callable[[optuna.Trial, DictConfig], Result]


class Instant(Experiments):
    """Experiments that take no time."""

    def __init__(self, experiment: Experiment, limits: Mapping[str, float]) -> None:
        super().__init__(limits)
        self.experiment = experiment
        self._classes = 10

    def run(self, composed: DictConfig, task: Any, content: Any, trial: TrialReporter) -> Result:
        return self.experiment(trial.trial, composed)


def work(
    folder: Path,
    experiment: Experiment,
    *,
    parameters: Mapping[str, str] | None = None,
    limits: Mapping[str, float] | None = None,
    n_trials: int = 5,
    max_failed: float = 0.5,
    pruner: str = "NopPruner",
    sampler: Mapping[str, Any] | None = None,
    name: str = "s",
    seeds: tuple[int, ...] = (),
) -> optuna.Study:
    """The study after one worker worked on it."""
    loader = ConfigLoaderImpl(create_config_search_path(str(conf_folder())))
    config = loader.load_configuration(
        "config", ["hydra/sweeper=optuna", f"hydra.sweep.dir={folder / 'jobs'}"], RunMode.MULTIRUN
    )
    space = make_space(
        dict(parameters or {"model.units": "range(8,64)", "model.dropout": "interval(0.0,0.5)"}),
        OverridesParser.create(),
    )
    objective = Objective((METRIC,), ("maximize",))
    where = str(folder / "optuna.log")
    study: optuna.Study = open_study(
        open_storage(where), name, objective, Signature(space.describe(), {}, limits or {}), fresh=False
    )
    search_config = SearchConfig(
        application=Instant(experiment, limits or {}),
        storage=where,
        study=name,
        space=space,
        objective=objective,
        fixed=(),
        n_trials=n_trials,
        max_failed=max_failed,
        sampler=dict(sampler or {"_target_": "optuna.samplers.RandomSampler", "seed": 0}),
        pruner={"_target_": f"optuna.pruners.{pruner}"},
        constraints={},
        record_id="0",
        is_grid=sampler is not None,
        seeds=seeds,
    )
    Worker(search_config, HydraContext(loader, Callbacks()), config, lambda composed: None, threads=1).work(0)
    return study


def finished(value: float = 0.5, **more: float) -> Result:
    return Result("finished", "t", ".", metrics={METRIC: value, **more})


def test_trials_run_until_there_are_enough(tmp_path: Path) -> None:
    seen = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        seen.append((trial.number, config.model.units, config.hardware.threads, config.tracking.run_name))
        return finished(config.model.units / 100)

    study = work(tmp_path, experiment)

    assert [number for number, *_ in seen] == [0, 1, 2, 3, 4]
    assert seen[3][1] == study.get_trials()[3].params["model.units"]
    assert seen[3][2:] == (1, "s #3")
    assert study.best_value == max(units for _, units, *_ in seen) / 100


def test_workers_that_have_the_same_number_on_their_machines_draw_other_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(settings, "open_storage", lambda where, **_: opened.append(where) or open_storage(where))

    def draw(folder: Path) -> list[float]:
        folder.mkdir()
        work(folder, lambda *_: finished(), n_trials=3)
        study = work(folder, lambda *_: finished(), n_trials=6)
        return [trial.params["model.dropout"] for trial in study.get_trials()]

    drawn = draw(tmp_path / "a")

    assert len(set(drawn)) == 6
    assert draw(tmp_path / "b") == drawn, "the seed determines what is drawn"
    assert len(opened) == 4, "each worker opens the storage once"


def test_a_network_over_the_limit_is_rejected_before_it_trains_and_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    written: list[set[int | None]] = []
    write = Journal.append_logs
    monkeypatch.setattr(
        Journal,
        "append_logs",
        lambda self, logs: (written.append({each.get("trial_id") for each in logs}), write(self, logs)),
    )

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        sizes.append(trial.user_attrs["complexity/size_kib_16bit"])
        return finished()

    study = work(tmp_path, experiment, limits={"complexity/size_kib_16bit": 82}, n_trials=4)

    assert len(sizes) == 4
    assert max(sizes) <= 82
    rejected = [trial for trial in study.get_trials() if records.kind(trial) == "rejected"]
    assert rejected
    for trial in rejected:
        assert trial.user_attrs["rejected"].startswith("complexity/size_kib_16bit ")
        assert trial.constraints["complexity/size_kib_16bit"] > 0
        # Its owner, a heartbeat, its values, its overrides, its threads, why it is rejected, and its end.
        assert sum(trial._trial_id in each for each in written) <= 7


def test_an_impossible_configuration_is_rejected_with_its_reason(tmp_path: Path) -> None:
    study = work(
        tmp_path,
        lambda trial, config: finished(),
        parameters={"model.blocks.1.pool": "choice([5,5],[41,5])"},
        n_trials=3,
    )

    reasons = {trial.user_attrs.get("rejected") for trial in study.get_trials()} - {None}
    assert len(reasons) == 1
    assert "only 40 × 500" in reasons.pop()


def test_a_failed_trial_is_reported_and_the_search_goes_on(tmp_path: Path) -> None:
    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        if trial.number == 1:
            raise MemoryError("no room")
        return Result("failed", "t", ".", error="OSError: disk") if trial.number == 2 else finished()

    study = work(tmp_path, experiment, n_trials=3)

    trials = study.get_trials()
    assert [records.kind(trial) for trial in trials] == ["finished", "failed", "failed", "finished", "finished"]
    assert [trials[1].user_attrs["error"], trials[2].user_attrs["error"]] == ["MemoryError: no room", "OSError: disk"]


def test_a_note_on_a_result_is_stored_with_its_trial(tmp_path: Path) -> None:
    note = "synthetic demo data: not representative of real recordings"

    study = work(tmp_path, lambda trial, config: replace(finished(), note=note), n_trials=1)

    assert study.get_trials()[0].user_attrs[records.NOTE] == note


def test_a_launchers_worker_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    settings = OmegaConf.create({"job": {"num": 1}, "output_subdir": None})
    monkeypatch.setattr("hydra.core.hydra_config.HydraConfig.get", lambda: settings)
    seen: list[str] = []
    worker: Any = Worker.__new__(Worker)
    worker.work = lambda number: seen.append(f"{number} on {os.environ['CUDA_VISIBLE_DEVICES']}") or 0
    worker.workers_here = 1

    worker(OmegaConf.create())

    assert seen == ["1 on 1"]


def test_too_many_failures_end_the_search(tmp_path: Path) -> None:
    study = work(tmp_path, lambda trial, config: Result("failed", "t", ".", error="no"), n_trials=40)

    assert records.counts(study.get_trials()) == {"failed": 3}
    assert study.user_attrs["stopped"] == "3 of 3 trials failed, more than hydra.sweeper.max_failed=0.5"


def test_a_wrong_objective_ends_the_search_and_names_the_nearest(tmp_path: Path) -> None:
    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        return Result("finished", "t", ".", metrics={"best/validation/acc": 1.0, "test/accuracy": 0.9})

    with pytest.raises(UserError, match=r"no such metric of a job; the nearest are best/validation/acc"):
        work(tmp_path, experiment)


#: What ends a search whose trials are all rejected, with the reason.
_HOPELESS = r"^4 trials in a row were rejected; widen the limits or the space; the last: .*parameters.*10"


def test_no_configuration_within_the_limits_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcase_sweep.sweep.optuna.worker._HOPELESS", 4)
    with pytest.raises(UserError, match=_HOPELESS):
        work(
            tmp_path,
            lambda trial, config: finished(),
            parameters={"model.units": "choice(100)"},
            limits={"complexity/parameters": 10},
        )


def test_a_pruned_trial_counts_and_keeps_its_epochs(tmp_path: Path) -> None:
    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        callback = TrialCallback(TrialReporter(trial), "validation/accuracy", epochs=10)
        callback.on_start("run")
        try:
            for epoch in range(10):
                callback.on_epoch(epoch, {"validation/accuracy": 1.0 / (trial.number + 1)})
        except StopTraining:
            return Result("stopped", "t", ".")
        return finished()

    study = work(tmp_path, experiment, n_trials=8, pruner="MedianPruner")

    found = records.counts(study.get_trials())
    assert found["pruned"] + found["finished"] == 8
    assert found["pruned"] == 3  # after the five trials that MedianPruner lets pass
    assert len(study.get_trials()[7].intermediate_values) == 1


def test_a_trial_that_is_through_is_not_pruned() -> None:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    callback = TrialCallback(TrialReporter(study.ask()), "validation/accuracy", epochs=3)

    with pytest.raises(StopTraining, match="pruned after epoch 2"):
        callback.on_epoch(1, {"validation/accuracy": 0.1})
    callback.on_epoch(2, {"validation/accuracy": 0.1})

    assert study.trials[0].intermediate_values == {1: 0.1, 2: 0.1}


@pytest.mark.parametrize(
    ("directions", "finished_before", "values", "expected"),
    [
        (["maximize"], [], [0.1], True),
        (["maximize"], [[0.2], [0.5]], [0.6], True),
        (["maximize"], [[0.2], [0.5]], [0.5], False),  # as good as an earlier one, which is the best
        (["minimize"], [[0.2], [0.5]], [0.1], True),
        (["maximize", "minimize"], [[0.5, 3.0]], [0.4, 2.0], True),  # on the Pareto front
        (["maximize", "minimize"], [[0.5, 3.0]], [0.4, 3.0], False),
    ],
)
def test_trials_that_are_the_best_so_far_draw_their_figures(
    directions: list[str], finished_before: list[list[float]], values: list[float], expected: bool
) -> None:
    study = optuna.create_study(directions=directions)
    names = [f"test/{number}" for number, _ in enumerate(directions)]
    for each in finished_before:
        study.tell(study.ask(), each)
    callback = TrialCallback(TrialReporter(study.ask()), None, epochs=1, objective=names)

    assert callback.draws_figures(dict(zip(names, values, strict=True))) is expected
    assert callback.draws_figures({}) is True  # the missing objective is reported by the search


def test_a_configuration_is_trained_once_and_a_space_comes_to_its_end(tmp_path: Path) -> None:
    trained = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        trained.append(config.model.units)
        return finished(config.model.units / 100)

    study = work(tmp_path, experiment, parameters={"model.units": "choice(8,16,24)"}, n_trials=9)

    assert sorted(trained) == [8, 16, 24]
    found = records.counts(study.get_trials())
    assert found["finished"] == 3
    assert study.user_attrs[records.EXHAUSTED] == "every configuration of the space was tried"
    for trial in study.get_trials():
        if records.kind(trial) == "repeated":
            assert trial.values == study.get_trials()[trial.user_attrs[records.REPEAT_OF]].values


def test_seeds_that_vary_on_purpose_are_each_trained(tmp_path: Path) -> None:
    study = work(
        tmp_path, lambda trial, config: finished(), parameters={"model.units": "choice(8)", "seed": "range(0,3)"}
    )

    assert records.counts(study.get_trials())["finished"] == 3


@pytest.mark.parametrize("kind", ["pruned", "failed"])
def test_a_pruned_or_failed_configuration_is_not_trained_again(tmp_path: Path, kind: str) -> None:
    trained = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        trained.append(config.model.units)
        if config.model.units > 8:
            return finished()
        trial.report(0.1, 0)
        return Result("stopped" if kind == "pruned" else "failed", "t", ".", error="no")

    study = work(tmp_path, experiment, parameters={"model.units": "choice(8,16)"}, n_trials=8)

    assert sorted(trained) == [8, 16]
    assert records.counts(study.get_trials())[kind] == 1


def test_results_of_earlier_commands_are_known(tmp_path: Path) -> None:
    trained: list[int] = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        trained.append(config.model.units)
        return finished()

    for _ in range(2):
        work(tmp_path, experiment, parameters={"model.units": "choice(8,16)"}, n_trials=7)

    assert sorted(trained) == [8, 16]


def test_two_workers_do_not_train_one_configuration_at_a_time(tmp_path: Path) -> None:
    """The one that comes second takes another configuration while the first one trains."""
    trained: list[int] = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        trained.append(config.model.units)
        if len(trained) == 1:
            work(tmp_path, experiment, parameters={"model.units": "choice(8,16,24)"}, n_trials=9)
        return finished()

    work(tmp_path, experiment, parameters={"model.units": "choice(8,16,24)"}, n_trials=9)

    assert sorted(trained) == [8, 16, 24]


@pytest.mark.parametrize("sampler", ["BruteForceSampler", "GridSampler"])
def test_a_grid_comes_to_its_end(tmp_path: Path, sampler: str) -> None:
    trained = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        trained.append((config.model.units, config.model.dropout))
        return finished()

    given: dict[str, Any] = {"_target_": f"optuna.samplers.{sampler}", "seed": 0}
    if sampler == "GridSampler":
        given["search_space"] = {"model.units": [8, 9], "model.dropout": ["0.1", "0.2"]}
    parameters = {"model.units": "range(8,10)", "model.dropout": "choice(0.1,0.2)"}
    study = work(tmp_path, experiment, parameters=parameters, n_trials=40, sampler=given)

    assert sorted(trained) == [(8, 0.1), (8, 0.2), (9, 0.1), (9, 0.2)]
    assert records.counts(study.get_trials())["finished"] == 4


def test_a_trial_that_another_command_has_closed_ends_and_is_reported_once(tmp_path: Path) -> None:
    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        if trial.number == 0:
            study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "optuna.log")))
            records.fail(study, study.get_trials()[0], records.GONE, interrupted=True)
            with pytest.raises(StopTraining, match="taken over"):
                TrialCallback(TrialReporter(trial), "a", epochs=3).on_epoch(0, {"a": 1.0})
        return finished()

    study = work(tmp_path, experiment, n_trials=2)

    assert [records.kind(trial) for trial in study.get_trials()] == ["interrupted", "finished", "finished"]


@pytest.mark.parametrize("write", [TrialReporter.set_folder, TrialReporter.set_job_id])
def test_a_job_whose_trial_another_command_has_closed_ends_before_its_first_epoch(
    tmp_path: Path, write: Callable[[TrialReporter, str], None]
) -> None:
    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        if trial.number == 0:
            study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "optuna.log")))
            records.fail(study, study.get_trials()[0], records.GONE, interrupted=True)
            with pytest.raises(StopTraining, match="taken over"):
                TrialCallback(TrialReporter(trial), "a", epochs=3).on_start("id")
            with pytest.raises(TrialPruned, match="taken over"):
                write(TrialReporter(trial), "id")
        return finished()

    study = work(tmp_path, experiment, n_trials=2)

    assert [records.kind(trial) for trial in study.get_trials()] == ["interrupted", "finished", "finished"]


def test_a_trial_that_another_command_closes_while_its_job_starts_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_folder, said = TrialReporter.set_folder, list[str]()

    def close_and_set(reporter: TrialReporter, folder: str) -> None:
        if reporter.trial.number == 0:
            study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "optuna.log")))
            records.fail(study, study.get_trials()[0], records.GONE, interrupted=True)
        set_folder(reporter, folder)

    monkeypatch.setattr(TrialReporter, "set_folder", close_and_set)
    monkeypatch.setattr(trial_runner.log, "info", said.append)
    monkeypatch.setattr(trial_runner.log, "error", lambda line, **_: said.append(line))

    study = work(tmp_path, lambda trial, config: finished(), n_trials=2)

    assert [records.kind(trial) for trial in study.get_trials()] == ["interrupted", "finished", "finished"]
    assert said == ["trial 0 was taken over by another command"]


def test_a_retry_with_nothing_left_to_train_has_the_epochs_of_the_attempt_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_at_its_end(trial: optuna.Trial, config: DictConfig) -> Result:
        trial.report(0.3, 0)
        trial.report(0.4, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, killed_at_its_end, n_trials=1)
    study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "optuna.log")))
    records.recover(study)
    monkeypatch.setattr(Instant, "resume", lambda self, job, folder: (job, None))

    study = work(tmp_path, lambda trial, config: finished(0.4), n_trials=1)

    assert [records.kind(trial) for trial in study.get_trials()] == ["interrupted", "finished"]
    assert study.get_trials()[1].intermediate_values == {0: 0.3, 1: 0.4}


def test_a_name_with_quotation_marks_and_references_reaches_the_run(tmp_path: Path) -> None:
    seen = []

    def experiment(trial: optuna.Trial, config: DictConfig) -> Result:
        seen.append(config.tracking.run_name)
        return finished()

    name = """bob's "<b>" 100% a/b\\ ${seed} ünïcödé, [x]={y}"""
    work(tmp_path, experiment, n_trials=1, name=name)

    assert seen == [f"{name} #0"]
