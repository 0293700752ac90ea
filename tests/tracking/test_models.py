"""The MLflow model of a run: loaded, registered and served by MLflow alone."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

import dcase_sweep
from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.data.events import DESED_CLASSES
from dcase_sweep.inference.packaging import package_model
from dcase_sweep.utils.errors import UserError
from tests.checkpoints import EVENTS, SCENE_CLASSES, SCENES, write_checkpoint
from tests.conftest import copy_database

PROJECT = Path(__file__).parents[1] / "projects" / "tagging"


@dataclass(frozen=True)
class Logged:
    """A store with a run that logged its network, and a recording."""

    folder: Path
    run_id: str
    recording: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def model(self) -> Path:
        return next(self.folder.rglob(f"{self.run_id}/artifacts/model"))


def log(
    folder: Path, overrides: tuple[str, ...], classes: tuple[str, ...], prefix: str, *, config_dir: Path | None = None
) -> str:
    """Log a run with the model of an untrained network to the store in the folder."""
    tracking.stores._stores.clear()
    checkpoint = write_checkpoint(folder / "run/best.ckpt", overrides, classes, prefix=prefix, config_dir=config_dir)
    settings = dcase_sweep.compose(list(overrides), config_dir=config_dir).settings
    run = tracking.start_run(Tracking(uri=f"sqlite:///{folder}/mlflow.db"), name="logged", tags={})
    run.log_file(checkpoint, "checkpoints")
    run.log_model(package_model(settings, checkpoint, classes))
    run.end("FINISHED")
    return run.id


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Logged]:
    import mlflow

    folder = copy_database(database, tmp_path_factory.mktemp("models") / "mlruns")
    recording = folder / "recording.wav"
    soundfile.write(recording, 0.1 * np.random.default_rng(1).standard_normal((20_000, 2)), 8_000)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):  # MLflow sets both in the environment, too
            patch.setenv(name, "")
            patch.delenv(name)
        logged = Logged(folder, log(folder, SCENES, SCENE_CLASSES, "network."), recording)
        mlflow.set_tracking_uri(logged.uri)
        mlflow.set_registry_uri(logged.uri)
        yield logged
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


def test_the_run_lists_its_model_so_that_mlflow_shows_the_signature(scenes: Logged) -> None:
    tags = tracking.open_store(Tracking(uri=scenes.uri)).client.get_run(scenes.run_id).data.tags

    (listed,) = json.loads(tags["mlflow.log-model.history"])
    assert (listed["artifact_path"], listed["run_id"], list(listed["flavors"])) == (
        "model",
        scenes.run_id,
        ["python_function"],
    )


def test_mlflow_loads_the_model_of_a_run(scenes: Logged) -> None:
    import mlflow
    import pandas as pd

    samples, rate = soundfile.read(scenes.recording)
    model = mlflow.pyfunc.load_model(f"runs:/{scenes.run_id}/model")

    of_bytes = model.predict(pd.DataFrame({"audio": [scenes.recording.read_bytes()]}))
    of_waveform = model.predict(pd.DataFrame({"waveform": [samples.mean(axis=1)], "sample_rate": [rate]}))

    ours = dcase_sweep.load_run(scenes.folder / "run/best.ckpt", folder=scenes.folder).predict(scenes.recording)
    assert list(of_bytes.columns) == ["recording", "scene_label", *SCENE_CLASSES]
    for table in (of_bytes, of_waveform):
        (row,) = table.to_dict("records")
        assert (row["recording"], row["scene_label"]) == (0, ours.label)
        assert {name: row[name] for name in SCENE_CLASSES} == pytest.approx(ours.probabilities, abs=1e-5)


def test_its_description_is_whole(scenes: Logged) -> None:
    import mlflow

    model = mlflow.models.Model.load(str(scenes.model))
    requirements = (scenes.model / "requirements.txt").read_text().splitlines()

    assert model.run_id == scenes.run_id
    assert model.signature.inputs.input_names() == ["audio", "waveform", "sample_rate"]
    assert model.signature.outputs.input_names() == ["recording", "scene_label", *SCENE_CLASSES]
    assert all("==" in line for line in requirements)
    assert {"torch", "mlflow", "dcase-sweep"} <= {line.partition("==")[0] for line in requirements}
    loaded = mlflow.pyfunc.load_model(str(scenes.model))
    assert len(loaded.predict(loaded.input_example)) == 1


def test_it_takes_hardly_more_space_than_the_checkpoint(scenes: Logged) -> None:
    checkpoint = scenes.model / "data/best.ckpt"
    others = [path for path in scenes.model.rglob("*") if path.is_file() and path != checkpoint]

    assert checkpoint.stat().st_nlink == 2
    assert sum(path.stat().st_size for path in others) < 16_384
    assert {path.name for path in scenes.model.parent.iterdir()} == {"checkpoints", "model"}


def test_a_registered_model_is_loaded_by_mlflow_and_by_its_name_here(scenes: Logged) -> None:
    import mlflow

    version = mlflow.register_model(f"runs:/{scenes.run_id}/model", "street sounds")

    uri = f"models:/street sounds/{version.version}"
    assert mlflow.pyfunc.load_model(uri).metadata.run_id == scenes.run_id
    ours = dcase_sweep.load_run(uri, folder=scenes.folder)
    assert ours.classes == SCENE_CLASSES
    with pytest.raises(UserError, match=r"^run=models:/nothing/1: no such model in sqlite:"):
        dcase_sweep.load_run("models:/nothing/1", folder=scenes.folder)


def test_a_registered_model_is_found_in_a_store_that_mlflow_is_not_set_to(
    scenes: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    client = mlflow.MlflowClient(scenes.uri)
    version = mlflow.register_model(f"runs:/{scenes.run_id}/model", "park sounds").version
    client.set_registered_model_alias("park sounds", "best", str(version))
    experiment = client.get_run(scenes.run_id).info.experiment_id
    other = client.create_logged_model(experiment, name="model", source_run_id=scenes.run_id)  # as others log them
    client.log_model_artifacts(other.model_id, str(scenes.model))
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    try:
        registered = (f"models:/park sounds/{version}", "models:/park sounds/latest", "models:/park sounds@best")
        for known in (*registered, f"models:/{other.model_id}", f"runs:/{scenes.run_id}/model"):
            assert dcase_sweep.load_run(known, folder=scenes.folder).classes == SCENE_CLASSES
        for unknown in ("park sounds/production", "park sounds/1/data", "nothing@best", "m-0"):
            with pytest.raises(UserError, match=r": no such model in sqlite:.*; expected models:/NAME/VERSION$"):
                dcase_sweep.load_run(f"models:/{unknown}", folder=scenes.folder)
    finally:
        mlflow.set_tracking_uri(scenes.uri)
        mlflow.set_registry_uri(scenes.uri)
    assert not [*tmp_path.iterdir()]


def test_a_registered_model_moves_with_its_store(
    scenes: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # which comes before the folder
    version = mlflow.register_model(f"runs:/{scenes.run_id}/model", "moving sounds").version
    moved = shutil.copytree(scenes.folder, tmp_path / "moved")

    assert dcase_sweep.load_run(f"models:/moving sounds/{version}", folder=moved).classes == SCENE_CLASSES

    client = mlflow.MlflowClient(f"sqlite:///{moved}/mlflow.db", registry_uri=f"sqlite:///{moved}/mlflow.db")
    assert client.get_model_version_download_uri("moving sounds", str(version)).startswith(moved.as_uri())


def test_a_recording_that_cannot_be_used_is_reported_by_its_row(scenes: Logged) -> None:
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model(f"runs:/{scenes.run_id}/model")

    with pytest.raises(UserError, match=r"^row 1: audio: not audio that libsndfile can read"):
        model.predict(pd.DataFrame({"audio": [scenes.recording.read_bytes(), b"no audio at all"]}))
    with pytest.raises(UserError, match=r"^row 0: audio is text; expected the bytes of an audio file"):
        model.predict(pd.DataFrame({"audio": ["street.wav"]}))
    with pytest.raises(UserError, match=r"^row 0: sample_rate=None: expected the sample rate"):
        model.predict(pd.DataFrame({"waveform": [[0.1] * 8_000]}))
    with pytest.raises(UserError, match=r"^no column audio and no column waveform; expected one of them"):
        model.predict(pd.DataFrame({"audoi": [scenes.recording.read_bytes()]}))


def test_a_served_model_answers_a_posted_wav(scenes: Logged) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow = shutil.which("mlflow", path=str(Path(sys.executable).parent))
    assert mlflow
    server = subprocess.Popen(
        [mlflow, "models", "serve", "-m", f"runs:/{scenes.run_id}/model", "-p", str(port), "--env-manager", "local"],
        env={**os.environ, "MLFLOW_TRACKING_URI": scenes.uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    street = scenes.folder / "street.wav"  # longer than an argument of a command may be
    soundfile.write(street, 0.1 * np.random.default_rng(2).standard_normal(100_000), 8_000)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/ping", server)
        command = documented_command().replace("http://127.0.0.1:5001", address)
        if shutil.which("curl") is None:  # what curl would send
            (row,) = post(f"{address}/invocations", json.loads(shell(command.rpartition("|")[0], scenes)))[
                "predictions"
            ]
        else:
            (row,) = json.loads(shell(command, scenes))["predictions"]
        waveform = {"waveform": [0.1, -0.1] * 4_000, "sample_rate": 8_000}
        (of_waveform,) = post(f"{address}/invocations", {"dataframe_records": [waveform]})["predictions"]
    finally:
        os.killpg(server.pid, 9)
        server.wait()
    ours = dcase_sweep.load_run(scenes.folder / "run/best.ckpt", folder=scenes.folder).predict(street)
    assert row["scene_label"] == ours.label
    assert row["bus"] == pytest.approx(ours.probabilities["bus"], abs=1e-5)
    assert of_waveform["scene_label"] in SCENE_CLASSES


def shell(command: str, logged: Logged) -> bytes:
    """What a command prints that is run beside the recordings."""
    return subprocess.run(command, shell=True, cwd=logged.folder, capture_output=True, check=True).stdout


def documented_command() -> str:
    """The code of the documentation that sends a recording."""
    text = (Path(__file__).parents[2] / "docs/how-to/predict.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```bash\n([^`]*curl [^`]*)^```", text, re.MULTILINE)
    return command


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers."""
    for _ in range(600):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError("the server did not begin")


def post(url: str, body: object) -> dict[str, list[dict[str, object]]]:
    """The answer to a request."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_the_model_of_a_detector_answers_with_events(tmp_path: Path, database: Path, scenes: Logged) -> None:
    import mlflow
    import pandas as pd

    folder = copy_database(database, tmp_path / "mlruns")
    overrides = (*EVENTS, "evaluation.f1_threshold=0.4")
    logged = Logged(folder, log(folder, overrides, DESED_CLASSES, "student."), scenes.recording)

    audio = scenes.recording.read_bytes()
    found = mlflow.pyfunc.load_model(str(logged.model)).predict(pd.DataFrame({"audio": [audio, audio]}))

    assert list(found.columns) == ["recording", "onset", "offset", "event_label", "confidence"]
    assert set(found["recording"]) == {0, 1}
    assert (found["onset"] < found["offset"]).all()


def test_the_source_of_a_component_of_the_users_own_goes_with_the_model(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas as pd

    project, folder = tmp_path / "project", copy_database(database, tmp_path / "mlruns")
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", [str(project), *before])
    overrides = ("task=tagging", "model.blocks.2.pool=[4,5]")
    logged = log(folder, overrides, ("high", "low", "middle"), "network.", config_dir=project / "conf")
    # In another place, where nothing but the model is.
    monkeypatch.setattr(sys, "path", before)
    monkeypatch.delitem(sys.modules, "tagging")
    project.rename(tmp_path / "elsewhere")
    (model,) = folder.rglob(f"{logged}/artifacts/model")

    loaded = mlflow.pyfunc.load_model(str(model))
    found = loaded.predict(loaded.input_example)

    assert list(found.columns) == ["recording", "event_labels", "high", "low", "middle"]
    assert Path(str(sys.modules["tagging"].__file__)).is_relative_to(model)
    assert isinstance(found, pd.DataFrame)
    monkeypatch.delitem(sys.modules, "tagging")
