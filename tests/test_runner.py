"""One experiment in this process: logged data, and the state after a failure."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir

from dcase_sweep import runner, tracking
from dcase_sweep.config import Experiment, check
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.tasks.features import load_features
from dcase_sweep.training.scenes import SceneLearner
from dcase_sweep.utils.errors import DataError, UserError
from tests.conftest import TINY
from tests.layout import read_table


@pytest.fixture
def experiment(
    tau: Path, mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Experiment]]:
    """Composes and checks a tiny experiment with more overrides."""
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    where = (f"data.root={tau}", f"store.root={tmp_path / 'features'}", f"tracking.folder={mlruns}")
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield lambda *more: check(compose("config", ["data=tau2020", *where, *TINY, *more]))


def job(folder: Path) -> runner.Job:
    folder.mkdir(exist_ok=True)
    return runner.Job(folder, {"model": "baseline_cnn", "data": "tau2020"})


def runs(experiment: Experiment) -> list[Any]:
    store = tracking.open_store(experiment.tracking)
    return list(store.client.search_runs([store.experiment_id]))


def test_a_jobs_name_contains_locations_only_if_they_vary() -> None:
    overrides = ("model=cnn5", "data=tau2020", "data.root=/here", "seed=1")
    alone = runner.Job(Path("."), {"model": "cnn5"}, overrides)
    chosen = runner.Job(
        Path("."),
        {"model": "cnn4", "experiment": "best"},
        ("+experiment=best", "model=cnn4", "seed=1"),
    )

    of_events = runner.Job(Path("."), {"model": "crnn_meanteacher"}, ("task='4'", "seed=1"))

    assert alone.name == "cnn5 seed=1"
    assert of_events.name == "crnn_meanteacher seed=1"
    assert chosen.name == "best model=cnn4 seed=1"


@pytest.mark.parametrize(
    ("varying", "name"),
    [
        (("model", "data", "data.root"), "cnn5 data=tau2020 root=/here"),
        (("seed", "optimizer.lr"), "lr=0.1 seed=1"),
        (("model.blocks.0.pool", "model.blocks.1.pool"), "0.pool=2 1.pool=4"),
        (("experiment", "seed"), "best seed=1"),
    ],
)
def test_a_job_of_a_sweep_is_named_by_what_varies(varying: tuple[str, ...], name: str) -> None:
    overrides = (
        *("model=cnn5", "data=tau2020", "data.root=/here", "seed=1", "++optimizer.lr=0.1", "+experiment=best"),
        *("model.blocks.0.pool=2", "model.blocks.1.pool=4"),
    )

    assert runner.Job(Path("."), {"model": "cnn5"}, overrides, varying).name == name


def test_complexity_is_logged_before_training(
    experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, float] = {}

    def look(self: SceneLearner, *args: object, **more: object) -> None:
        seen.update(runs(self.experiment)[0].data.metrics)
        raise UserError("seen enough")

    monkeypatch.setattr(SceneLearner, "fit", look)
    with pytest.raises(UserError, match="seen enough"):
        runner.run(experiment(), job(tmp_path / "job"))

    assert seen["complexity/parameters"] == seen["complexity/nonzero_parameters"]
    assert seen["complexity/size_kib_32bit"] > seen["complexity/size_kib_16bit"] > seen["complexity/size_kib_8bit"]
    assert seen["complexity/peak_activation_kib_32bit"] == 4 * seen["complexity/peak_activation_kib_8bit"] > 0
    assert seen["complexity/within_128_kb"] == 1
    assert runs(experiment())[0].info.status == "FAILED"


@pytest.mark.parametrize(
    ("override", "says"), [("resume=/nowhere", "no checkpoint there"), ("hardware=gpu", "PyTorch finds no GPU")]
)
def test_a_job_of_a_sweep_that_cannot_begin_leaves_a_failed_run(
    experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, says: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    impossible = experiment(override, "++tracking.parent=0123")

    with pytest.raises(UserError, match=says):
        runner.run(impossible, job(tmp_path / "job"))

    (run,) = runs(impossible)
    assert run.info.status == "FAILED"
    assert run.data.tags["dcase_sweep.error"]
    assert run.data.tags["dcase_sweep.model"] == "baseline_cnn"
    assert run.data.tags["mlflow.parentRunId"] == "0123"


def test_a_split_without_a_readable_clip_is_reported_before_training(
    experiment: Callable[..., Experiment], tau: Path
) -> None:
    for row in read_table(tau / "evaluation_setup/fold1_evaluate.csv"):
        (tau / row["filename"]).write_text("not a sound")

    with pytest.raises(DataError) as caught:
        load_features(experiment("data.skip_invalid=true"))

    assert caught.value.problems[0].startswith(f"{tau}: no clip left to test on")
    assert len(caught.value.problems) == 1 + 12


def test_classes_without_a_readable_training_clip_are_reported(
    experiment: Callable[..., Experiment], tau: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read_table(tau / "evaluation_setup/fold1_train.csv")
    *spoiled, kept = sorted({row["scene_label"] for row in rows})
    for row in rows:
        if row["scene_label"] == spoiled[0]:
            (tau / row["filename"]).write_text("not a sound")
    load_features(experiment("data.skip_invalid=true"))
    assert f"data      no readable training clip of {spoiled[0]}" in caplog.text

    for row in rows:
        if row["scene_label"] in spoiled:
            (tau / row["filename"]).write_text("not a sound")
    with pytest.raises(UserError, match=f"all readable training clips are of the class {kept}; expected at least two"):
        load_features(experiment("data.skip_invalid=true"))


def test_a_finished_run_is_fine_tuned_to_a_size_and_its_loss_is_reported(
    experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    dense = runner.run(experiment("training.epochs=1"), job(tmp_path / "dense"))
    more = (f"compression.start={tmp_path / 'dense'}", "compression.nonzero_kib=40", "compression.quantize=true")

    small = runner.run(experiment(*more), job(tmp_path / "small"))

    before, after = dense.metrics, small.metrics
    assert after["compression/accuracy_before"] == pytest.approx(before["test/accuracy"])
    assert after["compression/log_loss_before"] == pytest.approx(before["test/log_loss"])  # another memory layout
    assert after["compression/accuracy_after"] == after["test/accuracy"]
    assert 39.9 < after["complexity/nonzero_kib_16bit"] <= 40 < before["complexity/nonzero_kib_16bit"]
    assert after["complexity/nonzero_parameters"] < after["complexity/parameters"] == before["complexity/parameters"]
    assert after["best/epoch"] == 2  # counted from 1
    kept, started = (
        torch.load(tmp_path / name / "checkpoints/best.ckpt", weights_only=True) for name in ("small", "dense")
    )
    assert len(kept["activation_ranges"]) == 1 + 3 + 2  # the input, three blocks, two dense layers
    statistics = "network.convolutions.1.running_mean"  # which move only where the fine-tuning is a training
    assert not torch.equal(kept["state_dict"][statistics], started["state_dict"][statistics])


def test_extra_metrics_are_in_the_table_the_store_and_choose_the_epoch(
    experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    chosen = experiment("metrics=[macro_f1,cohen_kappa]", "task.monitor=validation/macro_f1")

    result = runner.run(chosen, job(tmp_path / "job"))

    logged = runs(chosen)[0].data.metrics
    for name in ("macro_f1", "cohen_kappa"):
        assert logged[f"test/{name}"] == pytest.approx(result.metrics[f"test/{name}"])
        assert f"validation/{name}" in logged
    assert "best/validation/macro_f1" in result.metrics
    assert f"macro_f1: {result.metrics['test/macro_f1']:.4f}\n" in (tmp_path / "job/scenes.txt").read_text()
    assert [column.title for column in result.columns][:5] == [
        *("accuracy %", "log loss", "macro f1", "cohen kappa", "validation %"),
    ]


class NotTheBest:
    """A trial of a search that is not the best one when it has finished."""

    def on_start(self, run_id: str) -> None:
        """Nothing to do."""

    def on_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """Nothing to do."""

    def draws_figures(self, metrics: Mapping[str, float]) -> bool:
        """None are drawn."""
        assert "test/accuracy" in metrics
        return False


@pytest.mark.parametrize(("figures", "expected"), [("auto", set()), ("all", {"confusion.png", "training.png"})])
def test_a_trial_that_is_not_the_best_draws_figures_only_if_asked_to(
    experiment: Callable[..., Experiment], tmp_path: Path, figures: str, expected: set[str]
) -> None:
    runner.run(experiment(f"tracking.figures={figures}", "tracking.model=false"), job(tmp_path / "job"), NotTheBest())

    drawn = {path.name for path in (tmp_path / "job").glob("*.png")}
    assert expected <= drawn
    assert bool(drawn) == bool(expected)


def test_an_epoch_can_be_chosen_by_its_loss(experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    by_loss = experiment("task.monitor=validation/loss", "training.epochs=3", "optimizer.lr=0.05")

    result = runner.run(by_loss, job(tmp_path / "job"))

    store = tracking.open_store(by_loss.tracking)
    history = store.client.get_metric_history(result.run_id, "validation/loss")
    later = [metric.value for metric in history if metric.step >= by_loss.training.first_best_epoch]
    assert result.metrics["best/validation/loss"] == pytest.approx(min(later))


def test_a_metric_that_no_epoch_has_is_reported_with_the_nearest(
    experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^task\.monitor=validation/acuracy: no such .* mean validation/accuracy\?$"):
        runner.run(experiment("task.monitor=validation/acuracy"), job(tmp_path / "job"))
