"""Loading of trained networks, and predictions from Python."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import dcase_sweep
from dcase_sweep import tracking
from dcase_sweep.data.events import DESED_CLASSES
from dcase_sweep.utils.errors import UserError
from tests.conftest import TINY, UNDRAWN, copy_database
from tests.desed_layout import VALIDATION_AUDIO, make_desed
from tests.layout import make_tau, read_table

EVENTS = (
    UNDRAWN,
    "model=crnn_meanteacher",
    "model.filters=[4,8]",
    "model.pools=[[8,2],[8,2]]",
    "model.recurrent_units=8",
    "front_end.n_mels=64",
    "data.seconds=1",
    "mean_teacher.strong=2",
    "mean_teacher.weak=2",
    "mean_teacher.unlabelled=2",
    "training.epochs=1",
    "hardware.threads=1",
)


@dataclass
class Trained:
    """A finished run of this process and its folder of runs."""

    folder: Path
    data: Path
    result: dcase_sweep.Result

    @property
    def mlruns(self) -> Path:
        return self.folder / "mlruns"


def train(folder: Path, database: Path, data: Path, *overrides: str) -> Trained:
    tracking.stores._stores.clear()
    copy_database(database, folder / "mlruns")
    places = [f"data.root={data}", f"tracking.folder={folder / 'mlruns'}", f"store.root={folder / 'store'}"]
    experiment = dcase_sweep.compose([*overrides, *places])
    return Trained(folder, data, dcase_sweep.run(experiment, folder=folder / "run"))


pytestmark = pytest.mark.usefixtures("no_tracking_address")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Trained:
    folder = tmp_path_factory.mktemp("scenes")
    return train(folder, database, make_tau(folder / "tau"), "data=tau2020", *TINY)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Trained:
    folder = tmp_path_factory.mktemp("events")
    return train(folder, database, make_desed(folder / "desed"), "data=desed", "tracking.model=false", *EVENTS)


def load(trained: Trained, run: str | Path | None = None) -> dcase_sweep.TrainedModel:
    return dcase_sweep.load_run(run or trained.result.run_id or "", folder=trained.mlruns)


def test_importing_the_package_imports_no_library() -> None:
    code = "import sys, dcase_sweep; print(*sorted(sys.modules)); assert 'compose' in dir(dcase_sweep)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"torch", "numpy", "hydra", "omegaconf", "mlflow", "pandas"} & set(found)


def test_all_names_of_the_api_exist() -> None:
    assert all(getattr(dcase_sweep, name) is not None for name in dcase_sweep.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        dcase_sweep.train  # noqa: B018


def test_compose_gives_typed_settings() -> None:
    experiment = dcase_sweep.compose(["model=cnn4", "optimizer.lr=5e-4"])

    assert experiment.settings.optimizer.lr == 5e-4
    assert experiment.choices["model"] == "cnn4"
    assert "lr: 0.0005" in experiment.yaml
    assert repr(experiment).startswith("Experiment(name='cnn4 optimizer.lr=0.0005', overrides=('model=cnn4',")


def test_compose_finds_configurations_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/narrow.yaml").write_text("defaults: [cnn4, _self_]\nunits: 7\n")

    experiment = dcase_sweep.compose(["model=narrow"], config_dir=tmp_path / "conf")

    assert experiment.settings.model.units == 7
    assert str(tmp_path / "conf") in experiment.command
    assert experiment.command.endswith(" model=narrow")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model=cnn4,cnn5"], "^2 experiments; expected one value for each key"),
        ("model=cnn4", r"^overrides='model=cnn4': a text; expected a list"),
        (["hydra.run.dir=x"], r"^hydra\.run\.dir=x: no effect .* in Python; .*run\(experiment, folder=\.\.\.\)$"),
        (["+hydra.verbose=true"], r"^\+hydra\.verbose=true: no effect on an experiment in Python"),
        (["model.unit=5"], r"^model\.unit: no such key; did you mean model\.units\?"),
    ],
)
def test_compose_rejects_in_one_line(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        dcase_sweep.compose(overrides)


def test_a_folder_of_configurations_that_is_not_there() -> None:
    with pytest.raises(UserError, match="nowhere"):
        dcase_sweep.compose(config_dir="nowhere")


def test_a_run_is_finished_and_in_the_table_of_runs(scenes: Trained) -> None:
    assert scenes.result.status == "finished"

    table = dcase_sweep.runs("metrics.`test/accuracy` >= 0", folder=scenes.mlruns)

    assert table["run_id"].tolist() == [scenes.result.run_id]
    assert table["metrics.test/accuracy"].tolist() == [scenes.result.metrics["test/accuracy"]]
    assert table["params.model"].tolist() == ["baseline_cnn"]
    assert dcase_sweep.runs("metrics.`test/accuracy` > 1", folder=scenes.mlruns).empty


@pytest.mark.parametrize("named", ["id", "folder"])
def test_a_run_that_is_read_again_predicts_what_was_evaluated(scenes: Trained, named: str) -> None:
    model = load(scenes, scenes.result.run_id if named == "id" else scenes.result.folder)
    rows = read_table(scenes.data / "evaluation_setup/fold1_evaluate.csv")

    found = [model.predict(scenes.data / row["filename"]) for row in rows]

    probabilities = [[each.probabilities[name] for name in model.classes] for each in found]
    report = dcase_sweep.evaluate_scenes(probabilities, [row["scene_label"] for row in rows])
    assert model.classes == ("bus", "park", "tram")
    assert report.accuracy == pytest.approx(scenes.result.metrics["test/accuracy"])
    assert report.log_loss == pytest.approx(scenes.result.metrics["test/log_loss"], rel=1e-4)
    assert all(each.label == max(each.probabilities, key=lambda name: each.probabilities[name]) for each in found)
    assert model.metrics["test/accuracy"] == scenes.result.metrics["test/accuracy"]


def test_a_waveform_is_predicted_as_its_file(scenes: Trained) -> None:
    model = load(scenes)
    path = min((scenes.data / "audio").iterdir())
    samples, rate = soundfile.read(path, dtype="float32")

    of_file, of_samples = model.predict(path), model.predict(samples, sample_rate=rate)

    assert of_samples.probabilities == pytest.approx(of_file.probabilities, abs=1e-4)
    assert model.features(path).shape == (1, 40, 50)
    assert model.network(model.features(path)).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("clip", "rate", "line"),
    [
        (np.zeros((2, 100)), 8000, r"waveform: float64 \[2, 100\]; expected numbers \[sample\] or \[sample, channel\]"),
        (np.ones(44_100, dtype=np.int16), 44_100, r"waveform: whole numbers \(int16\); expected full scale at 1"),
        (np.full(44_100, 0.1), None, r"sample_rate=None: expected the sample rate of the waveform in Hz"),
        (np.full(44_100, np.nan), 44_100, r"waveform: sample 0 is not a finite number"),
        ("missing.wav", None, r"^missing\.wav: no such file; expected an audio file$"),
    ],
    ids=["channels first", "integers", "no rate", "NaN", "no file"],
)
def test_recordings_that_cannot_be_used_are_rejected_in_one_line(
    scenes: Trained, clip: object, rate: int | None, line: str
) -> None:
    with pytest.raises(UserError, match=line):
        load(scenes).predict(clip, sample_rate=rate)  # type: ignore[arg-type]


def test_the_home_folder_of_a_run_may_be_abbreviated(scenes: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(scenes.folder))
    clip = min((scenes.data / "audio").iterdir()).relative_to(scenes.folder)

    found = dcase_sweep.load_run("~/run", folder="~/mlruns").predict(f"~/{clip}")

    assert found.probabilities == load(scenes).predict(scenes.folder / clip).probabilities


def test_a_run_that_is_not_there(scenes: Trained) -> None:
    with pytest.raises(UserError, match=r"^run=0123: no such run in .*mlflow\.db"):
        load(scenes, "0123")


def test_names_of_classes_that_a_checkpoint_lacks_can_be_given(scenes: Trained, tmp_path: Path) -> None:
    content = torch.load(Path(scenes.result.folder) / "checkpoints/best.ckpt", weights_only=True)
    del content["dcase_sweep"]["classes"]
    torch.save(content, tmp_path / "earlier.ckpt")

    with pytest.raises(UserError, match=r"earlier\.ckpt: does not name its 3 classes; expected classes=\[\.\.\.\]"):
        load(scenes, tmp_path / "earlier.ckpt")
    with pytest.raises(UserError, match=r"2 names of classes; expected 3, one for each output of its network"):
        dcase_sweep.load_run(tmp_path / "earlier.ckpt", classes=["bus", "park"], folder=scenes.mlruns)
    model = dcase_sweep.load_run(tmp_path / "earlier.ckpt", classes=["bus", "park", "tram"], folder=scenes.mlruns)
    assert model.classes == ("bus", "park", "tram")


def test_a_checkpoint_names_no_code_of_others(scenes: Trained, tmp_path: Path) -> None:
    content = torch.load(Path(scenes.result.folder) / "checkpoints/best.ckpt", weights_only=True)
    content["dcase_sweep"]["configuration"]["model._target_"] = "os.system"
    torch.save(content, tmp_path / "hostile.ckpt")

    line = r'model\._target_=os\.system: not a class of dcase_sweep, .* add targets=\{"model": "os\.system"\}'
    with pytest.raises(UserError, match=line):
        load(scenes, tmp_path / "hostile.ckpt")


def test_a_run_logs_its_network_as_an_mlflow_model_unless_it_is_not_to(scenes: Trained, events: Trained) -> None:
    (model,) = scenes.mlruns.rglob(f"{scenes.result.run_id}/artifacts/model/MLmodel")

    assert model.with_name("data").joinpath("best.ckpt").stat().st_nlink == 2
    assert not list(events.mlruns.rglob("MLmodel"))


def test_a_recording_of_another_length_rate_and_number_of_channels(scenes: Trained, tmp_path: Path) -> None:
    model = load(scenes)
    samples = 0.1 * np.random.default_rng(1).standard_normal((22_050 * 3, 2))
    soundfile.write(tmp_path / "long.wav", samples, 22_050, subtype="FLOAT")

    of_file, of_samples = model.predict(tmp_path / "long.wav"), model.predict(samples, 22_050)

    assert of_file.seconds == pytest.approx(3, abs=0.001)
    assert len(of_file.segments) == 5
    assert of_file.probabilities == pytest.approx(of_samples.probabilities, abs=1e-5)
    assert len(model.predict(samples, 22_050, overlap=0.0).segments) == 3


def test_events_of_a_recording(events: Trained) -> None:
    model = load(events)
    path = min((events.data / VALIDATION_AUDIO).iterdir())

    found = model.predict(path)

    assert model.classes == DESED_CLASSES
    assert found.scores.shape == (model.network(model.features(path)).strong.shape[2], 10)
    assert found.hop == pytest.approx(4 * 256 / 16_000)
    assert set(found.probabilities) == set(model.classes)
    assert all(event.onset < event.offset and event.event_label in model.classes for event in found.events)
