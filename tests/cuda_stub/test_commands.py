"""Commands with ``hardware=gpu`` on a GPU that computes nothing: everything but the values is as on a real one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cuda_stub import build, find_obstacle

pytestmark = pytest.mark.skipif(find_obstacle() is not None, reason=find_obstacle() or "")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    built = build(tmp_path_factory.mktemp("stub"))
    cache = tmp_path_factory.mktemp("cache")
    # Features have to be numbers, so a CPU computes them.
    plain = Command(cache, os.environ | {"PYTHONPATH": str(ROOT), "DCASE_SWEEP_CACHE": str(cache)})
    for words in ((), ("front_end=cqt",), ("model=crnn_meanteacher",)):
        plain("hardware=cpu", *words, "training.epochs=1", "tracking.figures=none")
    paths = os.pathsep.join([built["PYTHONPATH"], str(ROOT)])
    return built | {"PYTHONPATH": paths, "DCASE_SWEEP_CACHE": str(cache), "COLUMNS": "1000"}


class Command:
    """Runs commands in a folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def __call__(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Return what a command prints, both streams together."""
        done = subprocess.run(
            [sys.executable, "-m", "dcase_sweep", *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def train(self, *arguments: str, **variables: str) -> str:
        """Train three epochs on the GPU."""
        return self("hardware=gpu", "training.epochs=3", "tracking.figures=none", *arguments, **variables)

    def count(self, *arguments: str) -> list[list[int]]:
        """Return the waits for the GPU and the replayed graphs of the epochs of a training but the last."""
        counter = "{_target_: tests.cuda_stub.callbacks.Counter, path: counts.json}"
        self.train("training.epochs=4", f"+callbacks.counter={counter}", *arguments)
        counts: list[list[int]] = json.loads((self.folder / "counts.json").read_text())
        return counts


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str]) -> Command:
    return Command(tmp_path, environment)


@pytest.mark.parametrize(("batch", "steps"), [(30, 7), (10, 21)])
def test_an_epoch_of_scenes_waits_equally_often_with_few_and_many_steps(
    command: Command, batch: int, steps: int
) -> None:
    *_, (waits, graphs) = command.count(f"training.batch_size={batch}")

    assert graphs == steps
    # The order of both sets of clips, means, validation and the checkpoint; and the best checkpoint, if it is one.
    assert waits <= 10


@pytest.mark.parametrize(("size", "steps"), [(2, 18), (4, 9)])
def test_an_epoch_of_events_waits_equally_often_with_few_and_many_steps(
    command: Command, size: int, steps: int
) -> None:
    sizes = [f"mean_teacher.{kind}={size}" for kind in ("strong", "weak", "unlabelled")]

    *_, (waits, graphs) = command.count("model=crnn_meanteacher", *sizes)

    assert graphs == steps
    assert waits <= 15


@pytest.mark.parametrize(
    "choice",
    [
        "augmentation=[roll,mixup,mask_mels,mask_frames]",
        "augmentation=freq_mixstyle",
        "augmentation=[speed,device_response,gain]",
        "optimizer=sgd",
        "optimizer=adamw",
        "scheduler=warmup_cosine",
    ],
)
def test_choices_of_scenes_do_not_wait(command: Command, choice: str) -> None:
    store = ["front_end.store=false"] if "speed" in choice else []

    *_, (waits, graphs) = command.count(choice, *store)

    assert graphs == 13  # the last batch is smaller
    assert waits <= 10


@pytest.mark.parametrize(
    "augmentation",
    [
        "augmentation=[event_mixup,frame_shift,event_mask_mels,filter_augment]",
        "augmentation=[speed,device_response,gain]",
    ],
)
def test_augmentations_of_events_do_not_wait(command: Command, augmentation: str) -> None:
    store = ["front_end.store=false"] if "speed" in augmentation else []

    *_, (waits, graphs) = command.count("model=crnn_meanteacher", augmentation, *store)

    assert graphs > 0
    assert waits <= 15


@pytest.mark.parametrize("model", ["baseline_cnn", "crnn_meanteacher"])
def test_checkpoints_of_a_gpu_are_read_without_one(command: Command, model: str) -> None:
    command.train(f"model={model}")

    for name in ("best.ckpt", "last.ckpt"):
        path = next(command.folder.rglob(name))
        content = torch.load(path, weights_only=True)
        tensors = list(_find_tensors(content))
        assert len(tensors) > 10
        assert {tensor.device.type for tensor in tensors} == {"cpu"}


def _find_tensors(content: Any) -> Any:
    if isinstance(content, torch.Tensor):
        yield content
    for each in content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ():
        yield from _find_tensors(each)


@pytest.mark.parametrize(
    "arguments",
    [
        ("hardware.cache_device=memory",),
        ("hardware.channels_last=true", "model=cnn5"),
        ("hardware.compile=true",),
        ("hardware.precision=32-true", "front_end=cqt"),
        ("front_end.store=false", "augmentation=[speed,device_response,gain,mixup]"),
        ("front_end.store=false", "augmentation=speed", "model=crnn_meanteacher"),
        ("model=crnn_meanteacher", "hardware.cache_device=memory"),
    ],
)
def test_steps_are_recorded(command: Command, arguments: tuple[str, ...]) -> None:
    printed = command.train(*arguments)

    assert "training  3 epochs" in printed
    assert "not used" not in printed


@pytest.mark.parametrize("model", ["baseline_cnn", "crnn_meanteacher"])
def test_jobs_train_together(command: Command, model: str) -> None:
    printed = command.train("-m", f"model={model}", "seed=0,1,2", "hydra/launcher=fused")

    assert "together  3 jobs" in printed
    assert "3 of 3 jobs finished" in printed


def test_a_search_trains_trials_of_one_architecture_together(command: Command) -> None:
    printed = command.train(
        *("-m", "hydra/sweeper=optuna", "search=scene_cnn", "hydra.sweeper.n_trials=4", "hydra.sweeper.fused=2")
    )

    assert "4 finished" in printed


def test_workers_share_a_gpu(command: Command) -> None:
    printed = command.train(
        *("-m", "hydra/sweeper=optuna", "search=scene_cnn", "hydra.sweeper.n_trials=4", "hydra.sweeper.workers=2"),
        CUDA_VISIBLE_DEVICES="0",
    )

    assert "2 workers share 1 GPU" in printed
    assert "4 finished" in printed


def test_a_batch_that_does_not_fit_is_one_line(command: Command) -> None:
    printed = command(*("hardware=gpu", "training.epochs=3", "training.batch_size=128"), code=1, CUDA_STUB_GIB="0.2")

    (line,) = [line for line in printed.splitlines() if line.startswith("error:")]
    assert "training.batch_size=128" in line
    assert "which fits" in line
    assert "Traceback" not in printed


def test_a_grid_goes_on_after_a_batch_that_does_not_fit(command: Command) -> None:
    printed = command(
        *("-m", "hardware=gpu", "training.epochs=3", "training.batch_size=210,16"), code=1, CUDA_STUB_GIB="0.4"
    )

    assert "1 of 2 jobs finished" in printed


@pytest.mark.parametrize("part", ["losses", "variants", "waveforms", "scenes", "events", "fused", "memory", "signals"])
def test_the_benchmarks_run(part: str, environment: dict[str, str], tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "gpu",
        part,
        "--small",
        "--json",
        str(tmp_path / "figures.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "figures.json").read_text())
