"""One experiment through the real command line."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import DRAWN, CommandLine

Tiny = Callable[..., list[str]]
#: What draws random numbers while it trains.
CHANCE = ("augmentation.mixup_alpha=0.3", "augmentation.freq_mixstyle_p=0.5", "augmentation.roll=0.2")

#: Writes what is imported when the first batch begins.
FIRST_BATCH = """
import sys
from pytorch_lightning import Callback

class FirstBatch(Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 0:
            open({path!r}, "w").write(" ".join(sys.modules))
"""
#: What is needed for figures, tables, the model in MLflow, other tasks or other choices.
LATER = {
    *("codecarbon", "flask", "jinja2", "joblib", "keras", "numba", "onnx", "optuna", "plotly", "sklearn", "soxr"),
    *("tensorboard", "tensorflow", "torchaudio", "torchvision", "mlflow.pyfunc", "mlflow.pytorch", "mlflow.server"),
    *("matplotlib.backends.backend_agg", "dcase_sweep.evaluation.events", "dcase_sweep.evaluation.scenes.figures"),
    *("dcase_sweep.export", "dcase_sweep.inference", "dcase_sweep.submission", "dcase_sweep.training.mean_teacher"),
}


def run_folder(output: str, base: Path) -> Path:
    """Return the folder named in the last lines of the output."""
    found = re.search(r"^run .* · (\S+)$", output, re.MULTILINE)
    assert found, output
    return base / found[1]


def client(folder: Path) -> "tuple[object, str]":
    from mlflow import MlflowClient

    made = MlflowClient(f"sqlite:///{folder / 'mlruns/mlflow.db'}")
    return made, made.get_experiment_by_name("dcase_sweep").experiment_id


@pytest.fixture(scope="module")
def output(command_line: CommandLine, tiny: Tiny) -> str:
    """The first experiment, in a separate process and without an existing store of runs."""
    shutil.rmtree(command_line.folder / "mlruns")
    traps = command_line.folder / "traps"
    traps.mkdir()
    for name in ("tensorflow", "keras"):
        (traps / f"{name}.py").write_text(f"open({str(traps / 'imported')!r}, 'a').write({name!r})\nraise ImportError")
    (traps / "first_batch.py").write_text(FIRST_BATCH.format(path=str(traps / "before_the_first_batch")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(traps), os.environ.get("PYTHONPATH", "")]))
        return CommandLine(command_line.folder)(
            *tiny(DRAWN, *CHANCE, "+callbacks.first._target_=first_batch.FirstBatch")
        )


def test_training_begins_before_what_only_its_end_needs_is_imported(output: str, command_line: CommandLine) -> None:
    imported = (command_line.folder / "traps/before_the_first_batch").read_text().split()

    assert {"torch", "pytorch_lightning", "mlflow"} <= set(imported)
    assert sorted(LATER & set(imported)) == []


def test_pytorch_alone_does_not_import_tensorflow(output: str, command_line: CommandLine) -> None:
    assert not (command_line.folder / "traps/imported").exists()


@pytest.fixture(scope="module")
def again(output: str, command_line: CommandLine, tiny: Tiny) -> str:
    """The same experiment once more."""
    return command_line(*tiny(*CHANCE))


def test_the_terminal_shows_what_happened(output: str) -> None:
    assert " INFO " not in output  # of the libraries, which have much to say while a first store of runs is made
    assert "task 1a, baseline_cnn on tau2020, seed " in output
    assert "device    cpu, " in output
    assert "tau2020: 12 train, 24 validation, 12 test clips, 3 scenes, 2 devices" in output
    assert re.search(r"^ *bus  *\|", output, re.MULTILINE)
    assert "mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db" in output


def test_the_folder_holds_results_and_checkpoints(output: str, command_line: CommandLine) -> None:
    folder = run_folder(output, command_line.folder)

    names = {path.name for path in folder.iterdir()}
    assert {"checkpoints", "confusion.png", "devices.png", "training.png"} <= names
    assert {"scenes.csv", "scenes.txt", "scores.csv"} <= names
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "result.json"}


def test_mlflow_holds_everything(output: str, command_line: CommandLine) -> None:
    store, experiment = client(command_line.folder)

    (run,) = store.search_runs([experiment])  # type: ignore[attr-defined]

    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.lr"] == "0.001"
    assert run.data.params["model"] == "baseline_cnn"
    assert len(run.data.params["data.fingerprint"]) == 16
    assert {"test/accuracy", "test/log_loss", "test/accuracy_device_a", "validation/loss"} <= set(run.data.metrics)
    assert {"test/f1", "best/epoch", "complexity/parameters"} <= set(run.data.metrics)
    assert len([name for name in run.data.metrics if name.startswith("test/")]) < 20
    assert len(store.get_metric_history(run.info.run_id, "train/loss")) == 2  # type: ignore[attr-defined]
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.params["data.fingerprint"]
    artifacts = {item.path for item in store.list_artifacts(run.info.run_id)}  # type: ignore[attr-defined]
    assert {"config.yaml", "complexity.txt", "scenes.txt", "metrics.json", "confusion.png", "checkpoints"} <= artifacts


def test_the_separate_evaluation_of_the_scores_gives_the_same_figures(output: str, command_line: CommandLine) -> None:
    folder = run_folder(output, command_line.folder)
    reference = command_line.folder / "tau/evaluation_setup/fold1_evaluate.csv"

    judged = command_line("evaluate", "scenes", str(folder / "scores.csv"), str(reference))

    with (folder / "scenes.csv").open() as handle:
        rows = list(csv.reader(handle))
    assert rows
    table = (folder / "scenes.txt").read_text()
    assert [line for line in judged.splitlines() if line.lstrip().startswith("bus")] == [
        line for line in table.splitlines() if line.lstrip().startswith("bus")
    ]


def test_the_checkpoint_knows_the_normalisation(output: str, command_line: CommandLine) -> None:
    checkpoint = torch.load(run_folder(output, command_line.folder) / "checkpoints/best.ckpt", weights_only=True)

    assert checkpoint["state_dict"]["mean"].shape == (40, 1)
    assert checkpoint["dcase_sweep"]["configuration"]["training.epochs"] == 2


def test_features_are_read_from_the_store_the_second_time(output: str, again: str) -> None:
    assert "48 clips in" in output
    assert "all in the store" in again


def test_the_same_seed_gives_the_same_result_bit_for_bit(
    output: str, again: str, command_line: CommandLine, tiny: Tiny
) -> None:
    other = command_line(*tiny(*CHANCE, "seed=4"))

    scores = [(run_folder(each, command_line.folder) / "scores.csv").read_text() for each in (output, again, other)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.dropot=1"], "error: model.dropot: no such key; did you mean model.dropout?"),
        (["data=tau2020", "data.root=/nowhere"], "error: data.root=/nowhere: no such folder"),
        (["hardware=gpu"], "error: hardware=gpu: PyTorch finds no GPU"),
        (["hardware=mps"], "error: hardware=mps: PyTorch finds no GPU of a Mac on this machine; choose hardware=cpu"),
        (["resume=/nowhere"], "error: resume=/nowhere: no checkpoint there"),
        (["evaluat", "scenes"], "error: evaluat: no such verb; did you mean evaluate?"),
    ],
)
def test_mistakes_are_one_line(command_line: CommandLine, overrides: list[str], says: str) -> None:
    if "hardware=gpu" in overrides and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    if "hardware=mps" in overrides and torch.backends.mps.is_available():
        pytest.skip("this machine is a Mac with a GPU")

    output = command_line(*overrides, code=1)

    assert says in output
    assert "Traceback" not in output


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["evaluate", "--help"]])
def test_answers_at_once_without_loading_what_takes_long(command_line: CommandLine, arguments: list[str]) -> None:
    """Processor time is measured, because elapsed time depends on other processes of the machine."""
    program = (
        "import atexit, sys, time\n"
        f"sys.argv = ['dcase_sweep', *{arguments!r}]\n"
        "slow = {'numpy', 'pandas', 'torch', 'tensorflow', 'lightning', 'mlflow', 'optuna', 'matplotlib'}\n"
        "atexit.register(lambda: print('LOADED', sorted(slow & set(sys.modules)), time.process_time()))\n"
        "from dcase_sweep.__main__ import main\n"
        "main()\n"
    )
    cold = CommandLine(command_line.folder)

    def seconds() -> float:
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=cold.folder, env=cold.environment(), capture_output=True, text=True
        )
        assert "LOADED [] " in run.stdout, run.stdout + run.stderr
        return float(run.stdout.rpartition("LOADED [] ")[2])

    assert any(seconds() < 1.5 for _ in range(5))  # half a second on an idle machine; a busy one takes twice as long


def test_shell_completion_of_the_console_script(command_line: CommandLine) -> None:
    script = Path(sys.executable).with_name("dcase-sweep")
    if not script.exists():
        pytest.skip(f"the package is not installed: no {script}")
    typed = "dcase-sweep model=cnn"

    def ask(*arguments: str) -> str:
        environment = command_line.environment() | {"COMP_LINE": typed, "COMP_POINT": str(len(typed))}
        command = [str(script), *arguments]
        done = subprocess.run(command, env=environment, cwd=command_line.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ask("-sc", "query=bash").split() == ["model=cnn4", "model=cnn5"]
    assert "hydra_bash_completion dcase-sweep" in ask("-sc", "install=bash")


def test_a_training_computes_the_features_of_augmented_waveforms(command_line: CommandLine, tiny: Tiny) -> None:
    augmentations = "augmentation=[speed,device_response,gain,mixup]"

    output = command_line(*tiny("front_end.store=false", augmentations, "logger=csv", "hydra.run.dir=computed"))

    assert re.search(r"^waveforms 12 training clips in ", output, re.MULTILINE)
    with (command_line.folder / "computed/csv/metrics.csv").open() as handle:
        losses = [float(row["train/loss"]) for row in csv.DictReader(handle) if row["train/loss"]]
    assert len(losses) == 2
    assert all(0 < loss < 3 for loss in losses)
